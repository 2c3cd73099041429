// AVX-512 with BF16 (vdpbf16ps, 32 multiply-adds an instruction) and VNNI (vpdpbusd, 64 of 8 bits).
#include <cstddef>
#include <cstdint>
#include <immintrin.h>

#include "../kernels.h"

namespace strizh::avx512_bf16 {

#define STRIZH_BF16_INSTRUCTIONS 1
#define STRIZH_VNNI_INSTRUCTIONS 1
#include "vector_avx512.h"
#include "dot_avx512.h"
#include "product_avx512.h"
#include "text.h"

extern const Kernels kernels;
const Kernels kernels = STRIZH_KERNELS("avx512_bf16", 96, 80, nullptr, nullptr);

}  // namespace strizh::avx512_bf16
