// Sixteen floats: AVX-512 F, BW, VL, DQ. Included inside an instruction set's namespace.
#ifndef STRIZH_BF16_INSTRUCTIONS
#error "say whether the vector header may use AVX-512 BF16"
#endif

using Vector = __m512;
enum : size_t { kWidth = 16 };

static inline Vector load(const float* p) { return _mm512_loadu_ps(p); }
static inline Vector load_first(const float* p, size_t n) { return _mm512_maskz_loadu_ps(static_cast<__mmask16>((1u << n) - 1), p); }
static inline void store(float* p, Vector x) { _mm512_storeu_ps(p, x); }
static inline void store_first(float* p, Vector x, size_t n) { _mm512_mask_storeu_ps(p, static_cast<__mmask16>((1u << n) - 1), x); }
static inline Vector broadcast(float x) { return _mm512_set1_ps(x); }
static inline Vector add(Vector a, Vector b) { return _mm512_add_ps(a, b); }
static inline Vector subtract(Vector a, Vector b) { return _mm512_sub_ps(a, b); }
static inline Vector multiply(Vector a, Vector b) { return _mm512_mul_ps(a, b); }
static inline Vector divide(Vector a, Vector b) { return _mm512_div_ps(a, b); }
static inline Vector multiply_add(Vector a, Vector b, Vector c) { return _mm512_fmadd_ps(a, b, c); }
static inline Vector maximum(Vector a, Vector b) { return _mm512_max_ps(a, b); }
static inline Vector minimum(Vector a, Vector b) { return _mm512_min_ps(a, b); }
static inline Vector magnitude(Vector x) { return _mm512_abs_ps(x); }
static inline Vector nearest_integer(Vector x) { return _mm512_roundscale_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
static inline Vector times_power_of_two(Vector x, Vector n) { return _mm512_scalef_ps(x, n); }
static inline float sum(Vector x) { return _mm512_reduce_add_ps(x); }
static inline float largest(Vector x) { return _mm512_reduce_max_ps(x); }

// Lanes begin <= lane < end of x, `other` elsewhere.
static inline Vector keep_between(Vector x, size_t begin, size_t end, Vector other) {
  const __mmask16 lanes = static_cast<__mmask16>(((1u << end) - 1) & ~((1u << begin) - 1));
  return _mm512_mask_mov_ps(other, lanes, x);
}

static inline Vector load_bf16(const uint16_t* p) {
  const __m256i half = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
  return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(half), 16));
}

// The sums of the weights of kWidth columns, which are a 128th of their corrections.
using Integers = __m512i;
static inline Integers load_column_sums(const int32_t* corrections) { return _mm512_srai_epi32(_mm512_loadu_si512(corrections), 7); }

// The 32-bit integers whose bits are at `p`, less `zero` times `columns`, as floats.
static inline Vector load_corrected(const float* p, Integers columns, int32_t zero) {
  return _mm512_cvtepi32_ps(_mm512_sub_epi32(_mm512_loadu_si512(p), _mm512_mullo_epi32(columns, _mm512_set1_epi32(zero))));
}

// To the 32-bit integers whose bits are at `p`: `factor` times the signed byte number `byte` of each group of four.
static inline void add_bytes(float* p, const char* groups, size_t byte, int32_t factor) {
  const __m128i up = _mm_cvtsi32_si128(static_cast<int32_t>(24 - 8 * byte));
  const __m512i bytes = _mm512_srai_epi32(_mm512_sll_epi32(_mm512_loadu_si512(groups), up), 24);
  _mm512_storeu_si512(p, _mm512_add_epi32(_mm512_loadu_si512(p), _mm512_mullo_epi32(bytes, _mm512_set1_epi32(factor))));
}

// Bytes of round(x) + zero, ties to even, kept within [0, 255], of four vectors; |x| < 2^31.
static inline void store_bytes(uint8_t* p, Vector a, Vector b, Vector c, Vector d, int32_t zero) {
  const __m512i shift = _mm512_set1_epi16(static_cast<int16_t>(zero));
  const __m512i ab = _mm512_adds_epi16(_mm512_packs_epi32(_mm512_cvtps_epi32(a), _mm512_cvtps_epi32(b)), shift);
  const __m512i cd = _mm512_adds_epi16(_mm512_packs_epi32(_mm512_cvtps_epi32(c), _mm512_cvtps_epi32(d)), shift);
  const __m512i places = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);  // packing has woven their quarters
  _mm512_storeu_si512(p, _mm512_permutexvar_epi32(places, _mm512_packus_epi16(ab, cd)));
}

// Nearest, ties to even. NaN is not expected here.
static inline __m256i to_bf16(Vector x) {
#if STRIZH_BF16_INSTRUCTIONS
  return reinterpret_cast<__m256i>(_mm512_cvtneps_pbh(x));
#else
  const __m512i bits = _mm512_castps_si512(x);
  const __m512i odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
  const __m512i rounded = _mm512_add_epi32(bits, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff)));
  return _mm512_cvtepi32_epi16(_mm512_srli_epi32(rounded, 16));
#endif
}

static inline void store_bf16(uint16_t* p, Vector x) { _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), to_bf16(x)); }

// The same, every four neighbours in the order 2, 0, 3, 1.
static inline void store_bf16_apart(uint16_t* p, Vector x) {
  const __m256i places = _mm256_broadcastsi128_si256(_mm_setr_epi8(4, 5, 0, 1, 6, 7, 2, 3, 12, 13, 8, 9, 14, 15, 10, 11));
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), _mm256_shuffle_epi8(to_bf16(x), places));
}

// Two bf16 rows woven into pairs: out[i] = low[i] | high[i] << 16.
static inline void store_pairs(uint32_t* out, Vector low, Vector high) {
  const __m512i l = _mm512_cvtepu16_epi32(to_bf16(low)), h = _mm512_cvtepu16_epi32(to_bf16(high));
  _mm512_storeu_si512(out, _mm512_or_si512(l, _mm512_slli_epi32(h, 16)));
}

// Transposes 16 x 16 32-bit groups: out[column * out_stride + row] = in[row * 16 + column] for rows [0, rows).
static inline void store_transposed(const uint32_t* in, uint32_t* out, size_t out_stride, size_t rows) {
  __m512i r[16], t[16];
  for (int i = 0; i < 16; i++) r[i] = _mm512_load_si512(in + 16 * i);
  for (int i = 0; i < 8; i++) {
    t[2 * i] = _mm512_unpacklo_epi32(r[2 * i], r[2 * i + 1]);
    t[2 * i + 1] = _mm512_unpackhi_epi32(r[2 * i], r[2 * i + 1]);
  }
  for (int i = 0; i < 4; i++) {
    r[4 * i] = _mm512_unpacklo_epi64(t[4 * i], t[4 * i + 2]);
    r[4 * i + 1] = _mm512_unpackhi_epi64(t[4 * i], t[4 * i + 2]);
    r[4 * i + 2] = _mm512_unpacklo_epi64(t[4 * i + 1], t[4 * i + 3]);
    r[4 * i + 3] = _mm512_unpackhi_epi64(t[4 * i + 1], t[4 * i + 3]);
  }
  for (int i = 0; i < 4; i++) {
    t[i] = _mm512_shuffle_i32x4(r[i], r[i + 4], 0x88);
    t[i + 4] = _mm512_shuffle_i32x4(r[i], r[i + 4], 0xdd);
    t[i + 8] = _mm512_shuffle_i32x4(r[i + 8], r[i + 12], 0x88);
    t[i + 12] = _mm512_shuffle_i32x4(r[i + 8], r[i + 12], 0xdd);
  }
  const __mmask16 lanes = static_cast<__mmask16>((1u << rows) - 1);
  for (int i = 0; i < 4; i++) {
    _mm512_mask_storeu_epi32(out + i * out_stride, lanes, _mm512_shuffle_i32x4(t[i], t[i + 8], 0x88));
    _mm512_mask_storeu_epi32(out + (i + 4) * out_stride, lanes, _mm512_shuffle_i32x4(t[i + 4], t[i + 12], 0x88));
    _mm512_mask_storeu_epi32(out + (i + 8) * out_stride, lanes, _mm512_shuffle_i32x4(t[i], t[i + 8], 0xdd));
    _mm512_mask_storeu_epi32(out + (i + 12) * out_stride, lanes, _mm512_shuffle_i32x4(t[i + 4], t[i + 12], 0xdd));
  }
}
