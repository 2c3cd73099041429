// AVX-512 without BF16: a pair of bf16 is two floats, shifted apart and multiplied in float.
#include <cstddef>
#include <cstdint>
#include <immintrin.h>

#include "../kernels.h"

namespace strizh::avx512 {

#define STRIZH_BF16_INSTRUCTIONS 0
#include "vector_avx512.h"

template <Precision precision>
static inline __attribute__((always_inline)) void dot(__m512& c, __m512i a, __m512i b) {
  if constexpr (precision == Precision::bf16) {
    const __m512i upper = _mm512_set1_epi32(static_cast<int32_t>(0xffff0000));
    asm("vfmadd231ps %2, %1, %0" : "+v"(c) : "v"(_mm512_slli_epi32(a, 16)), "v"(_mm512_slli_epi32(b, 16)));
    asm("vfmadd231ps %2, %1, %0" : "+v"(c) : "v"(_mm512_and_si512(a, upper)), "v"(_mm512_and_si512(b, upper)));
  } else if constexpr (precision == Precision::int8) {  // bytes as 16 bits, even and odd ones apart: no sum saturates
    const __m512i low = _mm512_madd_epi16(_mm512_and_si512(a, _mm512_set1_epi16(0xff)), _mm512_srai_epi16(_mm512_slli_epi16(b, 8), 8));
    const __m512i high = _mm512_madd_epi16(_mm512_srli_epi16(a, 8), _mm512_srai_epi16(b, 8));
    c = _mm512_castsi512_ps(_mm512_add_epi32(_mm512_castps_si512(c), _mm512_add_epi32(low, high)));
  } else {
    asm("vfmadd231ps %2, %1, %0" : "+v"(c) : "v"(a), "v"(b));
  }
}

#include "product_avx512.h"
#include "text.h"

extern const Kernels kernels;
const Kernels kernels = STRIZH_KERNELS("avx512", 96, 32, nullptr, nullptr);

}  // namespace strizh::avx512
