// Eight floats: AVX2 and FMA. Included inside an instruction set's namespace.
using Vector = __m256;
enum : size_t { kWidth = 8 };

// Ones in lanes begin <= lane < end.
static inline __m256i lanes_between(size_t begin, size_t end) {
  const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
  const __m256i before = _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int32_t>(begin)), lane);
  return _mm256_andnot_si256(before, _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int32_t>(end)), lane));
}

static inline Vector load(const float* p) { return _mm256_loadu_ps(p); }
static inline Vector load_first(const float* p, size_t n) { return _mm256_maskload_ps(p, lanes_between(0, n)); }
static inline void store(float* p, Vector x) { _mm256_storeu_ps(p, x); }
static inline void store_first(float* p, Vector x, size_t n) { _mm256_maskstore_ps(p, lanes_between(0, n), x); }
static inline Vector broadcast(float x) { return _mm256_set1_ps(x); }
static inline Vector add(Vector a, Vector b) { return _mm256_add_ps(a, b); }
static inline Vector subtract(Vector a, Vector b) { return _mm256_sub_ps(a, b); }
static inline Vector multiply(Vector a, Vector b) { return _mm256_mul_ps(a, b); }
static inline Vector divide(Vector a, Vector b) { return _mm256_div_ps(a, b); }
static inline Vector multiply_add(Vector a, Vector b, Vector c) { return _mm256_fmadd_ps(a, b, c); }
static inline Vector maximum(Vector a, Vector b) { return _mm256_max_ps(a, b); }
static inline Vector minimum(Vector a, Vector b) { return _mm256_min_ps(a, b); }
static inline Vector magnitude(Vector x) { return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), x); }
static inline Vector nearest_integer(Vector x) { return _mm256_round_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }

// n is an integer up to 127; below -126 the result is 0.
static inline Vector times_power_of_two(Vector x, Vector n) {
  const __m256i exponent = _mm256_cvtps_epi32(_mm256_max_ps(n, _mm256_set1_ps(-127.0f)));
  return _mm256_mul_ps(x, _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(exponent, _mm256_set1_epi32(127)), 23)));
}

static inline float sum(Vector x) {
  __m128 y = _mm_add_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
  y = _mm_add_ps(y, _mm_movehl_ps(y, y));
  return _mm_cvtss_f32(_mm_add_ss(y, _mm_movehdup_ps(y)));
}

static inline float largest(Vector x) {
  __m128 y = _mm_max_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
  y = _mm_max_ps(y, _mm_movehl_ps(y, y));
  return _mm_cvtss_f32(_mm_max_ss(y, _mm_movehdup_ps(y)));
}

// Lanes begin <= lane < end of x, `other` elsewhere.
static inline Vector keep_between(Vector x, size_t begin, size_t end, Vector other) {
  return _mm256_blendv_ps(other, x, _mm256_castsi256_ps(lanes_between(begin, end)));
}

static inline Vector load_bf16(const uint16_t* p) {
  const __m128i half = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
  return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(half), 16));
}

// The same, the elements of each pair swapped.
static inline Vector load_bf16_swapped(const uint16_t* p) {
  const __m256i both = _mm256_broadcastsi128_si256(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
  const __m256i places = _mm256_setr_epi8(-1, -1, 2, 3, -1, -1, 0, 1, -1, -1, 6, 7, -1, -1, 4, 5, -1, -1, 10, 11, -1, -1, 8, 9,
                                          -1, -1, 14, 15, -1, -1, 12, 13);
  return _mm256_castsi256_ps(_mm256_shuffle_epi8(both, places));
}

// Pairs of bf16 apart: low[i] = float(in[i] & 0xffff), high[i] = float(in[i] >> 16).
static inline void load_pairs(const uint32_t* in, Vector& low, Vector& high) {
  const __m256i pairs = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(in));
  low = _mm256_castsi256_ps(_mm256_slli_epi32(pairs, 16));
  high = _mm256_castsi256_ps(_mm256_and_si256(pairs, _mm256_set1_epi32(static_cast<int32_t>(0xffff0000))));
}

// The sums of the weights of kWidth columns, which are a 128th of their corrections.
using Integers = __m256i;
static inline Integers load_column_sums(const int32_t* corrections) {
  return _mm256_srai_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(corrections)), 7);
}

// The 32-bit integers whose bits are at `p`, less `zero` times `columns`, as floats.
static inline Vector load_corrected(const float* p, Integers columns, int32_t zero) {
  const __m256i sums = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
  return _mm256_cvtepi32_ps(_mm256_sub_epi32(sums, _mm256_mullo_epi32(columns, _mm256_set1_epi32(zero))));
}

// To the 32-bit integers whose bits are at `p`: `factor` times the signed byte number `byte` of each group of four.
static inline void add_bytes(float* p, const char* groups, size_t byte, int32_t factor) {
  const __m128i up = _mm_cvtsi32_si128(static_cast<int32_t>(24 - 8 * byte));
  const __m256i raised = _mm256_sll_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(groups)), up);
  const __m256i more = _mm256_mullo_epi32(_mm256_srai_epi32(raised, 24), _mm256_set1_epi32(factor));
  auto* sums = reinterpret_cast<__m256i*>(p);
  _mm256_storeu_si256(sums, _mm256_add_epi32(_mm256_loadu_si256(sums), more));
}

// Bytes of round(x) + zero, ties to even, kept within [0, 255], of four vectors; |x| < 2^31.
static inline void store_bytes(uint8_t* p, Vector a, Vector b, Vector c, Vector d, int32_t zero) {
  const __m256i shift = _mm256_set1_epi16(static_cast<int16_t>(zero));
  const __m256i ab = _mm256_adds_epi16(_mm256_packs_epi32(_mm256_cvtps_epi32(a), _mm256_cvtps_epi32(b)), shift);
  const __m256i cd = _mm256_adds_epi16(_mm256_packs_epi32(_mm256_cvtps_epi32(c), _mm256_cvtps_epi32(d)), shift);
  const __m256i places = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);  // packing has woven their halves
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), _mm256_permutevar8x32_epi32(_mm256_packus_epi16(ab, cd), places));
}

// The upper halves rounded to bf16, nearest, ties to even; the lower halves are left over. NaN is not expected here.
static inline __m256i round_bf16(Vector x) {
  const __m256i bits = _mm256_castps_si256(x);
  const __m256i odd = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
  return _mm256_add_epi32(bits, _mm256_add_epi32(odd, _mm256_set1_epi32(0x7fff)));
}

static inline void store_bf16(uint16_t* p, Vector x) {
  const __m256i halves = _mm256_srli_epi32(round_bf16(x), 16);
  const __m128i low = _mm256_castsi256_si128(halves), high = _mm256_extracti128_si256(halves, 1);
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm_packus_epi32(low, high));
}

// Two bf16 rows woven into pairs: out[i] = low[i] | high[i] << 16.
static inline void store_pairs(uint32_t* out, Vector low, Vector high) {
  const __m256i pairs = _mm256_blend_epi16(_mm256_srli_epi32(round_bf16(low), 16), round_bf16(high), 0xaa);
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(out), pairs);
}

// Eight rows of 16 32-bit groups, eight columns of them, transposed.
static inline void store_transposed_8(const uint32_t* in, uint32_t* out, size_t out_stride, size_t rows) {
  __m256 r[8], t[8];
  for (int i = 0; i < 8; i++) r[i] = load(reinterpret_cast<const float*>(in + 16 * i));
  for (int i = 0; i < 4; i++) {
    t[2 * i] = _mm256_unpacklo_ps(r[2 * i], r[2 * i + 1]);
    t[2 * i + 1] = _mm256_unpackhi_ps(r[2 * i], r[2 * i + 1]);
  }
  for (int i = 0; i < 2; i++) {
    r[4 * i] = _mm256_shuffle_ps(t[4 * i], t[4 * i + 2], 0x44);
    r[4 * i + 1] = _mm256_shuffle_ps(t[4 * i], t[4 * i + 2], 0xee);
    r[4 * i + 2] = _mm256_shuffle_ps(t[4 * i + 1], t[4 * i + 3], 0x44);
    r[4 * i + 3] = _mm256_shuffle_ps(t[4 * i + 1], t[4 * i + 3], 0xee);
  }
  for (size_t i = 0; i < 4; i++) {
    store_first(reinterpret_cast<float*>(out + i * out_stride), _mm256_permute2f128_ps(r[i], r[i + 4], 0x20), rows);
    store_first(reinterpret_cast<float*>(out + (i + 4) * out_stride), _mm256_permute2f128_ps(r[i], r[i + 4], 0x31), rows);
  }
}

// Transposes 16 x 16 32-bit groups: out[column * out_stride + row] = in[row * 16 + column] for rows [0, rows).
static inline void store_transposed(const uint32_t* in, uint32_t* out, size_t out_stride, size_t rows) {
  for (size_t column = 0; column < 16; column += 8) {
    store_transposed_8(in + column, out + column * out_stride, out_stride, rows < 8 ? rows : 8);
    if (rows > 8) store_transposed_8(in + 8 * 16 + column, out + column * out_stride + 8, out_stride, rows - 8);
  }
}
