// c += a b on sixteen 32-bit groups: one float, two bf16 or four bytes (a unsigned, b signed) each. Included inside an
// instruction set's namespace, after vector_avx512.h. One line of assembly where an instruction does it: see product_avx512.h.
#ifndef STRIZH_VNNI_INSTRUCTIONS
#error "say whether the dot product may use AVX-512 VNNI"
#endif

static inline __attribute__((always_inline)) void add_product(__m512& c, __m512i a, __m512i b) {
  asm("vfmadd231ps %2, %1, %0" : "+v"(c) : "v"(a), "v"(b));
}

static inline __attribute__((always_inline)) void dot_bf16(__m512& c, __m512i a, __m512i b) {
#if STRIZH_BF16_INSTRUCTIONS
  asm("vdpbf16ps %2, %1, %0" : "+v"(c) : "v"(a), "v"(b));
#else
  // The second of a pair first, as in the instruction: the same sums to the bit, but for numbers that it takes for zero.
  const __m512i upper = _mm512_set1_epi32(static_cast<int32_t>(0xffff0000));
  add_product(c, _mm512_and_si512(a, upper), _mm512_and_si512(b, upper));
  add_product(c, _mm512_slli_epi32(a, 16), _mm512_slli_epi32(b, 16));
#endif
}

static inline __attribute__((always_inline)) void dot_int8(__m512& c, __m512i a, __m512i b) {
#if STRIZH_VNNI_INSTRUCTIONS
  asm("vpdpbusd %2, %1, %0" : "+v"(c) : "v"(a), "v"(b));
#else  // bytes as 16 bits, even and odd ones apart: no sum saturates
  const __m512i even = _mm512_madd_epi16(_mm512_and_si512(a, _mm512_set1_epi16(0xff)), _mm512_srai_epi16(_mm512_slli_epi16(b, 8), 8));
  const __m512i odd = _mm512_madd_epi16(_mm512_srli_epi16(a, 8), _mm512_srai_epi16(b, 8));
  c = _mm512_castsi512_ps(_mm512_add_epi32(_mm512_castps_si512(c), _mm512_add_epi32(even, odd)));
#endif
}

template <Precision precision>
static inline __attribute__((always_inline)) void dot(__m512& c, __m512i a, __m512i b) {
  if constexpr (precision == Precision::fp32) add_product(c, a, b);
  if constexpr (precision == Precision::bf16) dot_bf16(c, a, b);
  if constexpr (precision == Precision::int8) dot_int8(c, a, b);
}
