// AVX-512 with BF16 and VNNI: vdpbf16ps, 32 multiply-adds an instruction, and vpdpbusd, 64.
#include <cstddef>
#include <cstdint>
#include <immintrin.h>

#include "../kernels.h"

namespace strizh::avx512_bf16 {

#define STRIZH_BF16_INSTRUCTIONS 1
#include "vector_avx512.h"

template <Precision precision>
static inline __attribute__((always_inline)) void dot(__m512& c, __m512i a, __m512i b) {
  if constexpr (precision == Precision::bf16) asm("vdpbf16ps %2, %1, %0" : "+v"(c) : "v"(a), "v"(b));
  else if constexpr (precision == Precision::int8) asm("vpdpbusd %2, %1, %0" : "+v"(c) : "v"(a), "v"(b));
  else asm("vfmadd231ps %2, %1, %0" : "+v"(c) : "v"(a), "v"(b));
}

#include "product_avx512.h"
#include "text.h"

extern const Kernels kernels;
const Kernels kernels = STRIZH_KERNELS("avx512_bf16", 96, 32, nullptr, nullptr);

}  // namespace strizh::avx512_bf16
