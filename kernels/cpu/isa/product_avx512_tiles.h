// The bf16 product of one register tile in the order of AMX's sums (kernels.h: `SumOrder`). Included by product_avx512.h.
//
// The dot product adds the second of a pair first. So of four neighbours in k the pairs (2, 0) and (3, 1) make two chains of it,
// one over the even k and one over the odd. Rows that are not stored in that order are put in it a line at a time, which costs 6 %;
// what a panel holds is on its way into registers, for all rows, which costs nothing that could be measured. Two sums for each of
// twelve rows and sixteen columns stay in registers for the length of a line. Loops are not unrolled: gcc 12 would keep rows of
// narrow tiles in general registers from one half of the columns to the other, at half the speed.

// Four neighbours in k, two groups of a panel, as the two pairs.
struct Apart { __m512i even, odd; };

static inline __attribute__((always_inline)) Apart apart(__m512i first, __m512i second) {
  const __mmask32 upper = 0xaaaaaaaa;
  return {_mm512_mask_blend_epi16(upper, second, _mm512_slli_epi32(first, 16)),
          _mm512_mask_blend_epi16(upper, _mm512_srli_epi32(second, 16), first)};
}

// One line of packed rows.
using PairsOfRow = int32_t[kLineGroups];

// Every four neighbours as the two pairs.
static inline void put_apart(const char* a, size_t rows, PairsOfRow* to) {
  const __m512i places = _mm512_broadcast_i32x4(_mm_setr_epi8(4, 5, 0, 1, 6, 7, 2, 3, 12, 13, 8, 9, 14, 15, 10, 11));
  for (size_t r = 0; r < rows; r++) _mm512_store_si512(to[r], _mm512_shuffle_epi8(_mm512_loadu_si512(a + r * kLineBytes), places));
}

#define STRIZH_BEGIN_APART(r) __m512 even##r = _mm512_setzero_ps(), odd##r = _mm512_setzero_ps();
#define STRIZH_STEP_APART(r) \
  dot_bf16(even##r, _mm512_set1_epi32(pairs[r][group]), b_apart.even); \
  dot_bf16(odd##r, _mm512_set1_epi32(pairs[r][group + 1]), b_apart.odd);
#define STRIZH_ADD_APART(r) { \
  float* to = c + r * c_stride + column; \
  _mm512_storeu_ps(to, _mm512_add_ps(_mm512_loadu_ps(to), _mm512_add_ps(even##r, odd##r))); }
#define STRIZH_PUT_APART(r) _mm512_storeu_ps(c + r * c_stride + column, _mm512_add_ps(even##r, odd##r));

#define STRIZH_TILE_APART(ROWS) \
  static void product_apart_##ROWS(const char* a, size_t a_stride, const char* b, size_t lines, float* c, size_t c_stride, \
                                   bool accumulate, Fetch fetch) { \
    alignas(64) PairsOfRow pairs[ROWS]; \
    const char* next = fetch.begin; \
    const size_t step = fetch_step(fetch, lines); \
    for (size_t line = 0; line < lines; line++, a += a_stride, b += panel_bytes(1), accumulate = true) { \
      meet_page<Precision::bf16>(next, step, fetch.limit); \
      put_apart(a, ROWS, pairs); \
      _Pragma("GCC unroll 1") \
      for (size_t column = 0; column < kPanelColumns; column += 16) { \
        STRIZH_ROWS_##ROWS(STRIZH_BEGIN_APART) \
        _Pragma("GCC unroll 1") \
        for (size_t group = 0; group < kLineGroups; group += 2, next += step) { \
          const char* four = b + (group * kPanelColumns + column) * kGroupBytes; \
          const Apart b_apart = apart(_mm512_loadu_si512(four), _mm512_loadu_si512(four + kPanelColumns * kGroupBytes)); \
          _mm_prefetch(next, _MM_HINT_T1); \
          _mm_prefetch(next + 64, _MM_HINT_T1); \
          STRIZH_ROWS_##ROWS(STRIZH_STEP_APART) \
        } \
        if (accumulate) { STRIZH_ROWS_##ROWS(STRIZH_ADD_APART) } else { STRIZH_ROWS_##ROWS(STRIZH_PUT_APART) } \
      } \
    } \
  }

STRIZH_HEIGHTS(STRIZH_TILE_APART)

static void product_in_tiles_order(size_t rows, const char* a, size_t a_stride, const char* b, size_t lines, float* c,
                                   size_t c_stride, bool accumulate, Fetch fetch) {
#define STRIZH_CASE(ROWS) \
  case ROWS: return product_apart_##ROWS(a, a_stride, b, lines, c, c_stride, accumulate, fetch);
  switch (rows) { STRIZH_HEIGHTS(STRIZH_CASE) }
#undef STRIZH_CASE
}

// The same where both operands are stored apart, as attention's are: six rows of 32 columns, so that a group of a row that is
// loaded meets both halves of the columns. Loads are what bounds the other shape.
#define STRIZH_BEGIN_STORED(r) \
  __m512 low_even##r = _mm512_setzero_ps(), high_even##r = low_even##r, low_odd##r = low_even##r, high_odd##r = low_even##r;
#define STRIZH_STEP_STORED(r) { \
  const __m512i even = _mm512_set1_epi32(pairs[r][group]), odd = _mm512_set1_epi32(pairs[r][group + 1]); \
  dot_bf16(low_even##r, even, low_of_even); \
  dot_bf16(high_even##r, even, high_of_even); \
  dot_bf16(low_odd##r, odd, low_of_odd); \
  dot_bf16(high_odd##r, odd, high_of_odd); }
#define STRIZH_ADD_STORED(r) { \
  float* to = c + r * c_stride; \
  _mm512_storeu_ps(to, _mm512_add_ps(_mm512_loadu_ps(to), _mm512_add_ps(low_even##r, low_odd##r))); \
  _mm512_storeu_ps(to + 16, _mm512_add_ps(_mm512_loadu_ps(to + 16), _mm512_add_ps(high_even##r, high_odd##r))); }
#define STRIZH_PUT_STORED(r) \
  _mm512_storeu_ps(c + r * c_stride, _mm512_add_ps(low_even##r, low_odd##r)); \
  _mm512_storeu_ps(c + r * c_stride + 16, _mm512_add_ps(high_even##r, high_odd##r));

#define STRIZH_TILE_STORED(ROWS) \
  static void product_stored_##ROWS(const char* a, size_t a_stride, const char* b, size_t lines, float* c, size_t c_stride, \
                                    bool accumulate) { \
    for (size_t line = 0; line < lines; line++, a += a_stride, accumulate = true) { \
      const PairsOfRow* pairs = reinterpret_cast<const PairsOfRow*>(a); \
      STRIZH_ROWS_##ROWS(STRIZH_BEGIN_STORED) \
      _Pragma("GCC unroll 1") \
      for (size_t group = 0; group < kLineGroups; group += 2, b += 2 * kPanelColumns * kGroupBytes) { \
        const __m512i low_of_even = _mm512_loadu_si512(b), high_of_even = _mm512_loadu_si512(b + 64); \
        const __m512i low_of_odd = _mm512_loadu_si512(b + 128), high_of_odd = _mm512_loadu_si512(b + 192); \
        STRIZH_ROWS_##ROWS(STRIZH_STEP_STORED) \
      } \
      if (accumulate) { STRIZH_ROWS_##ROWS(STRIZH_ADD_STORED) } else { STRIZH_ROWS_##ROWS(STRIZH_PUT_STORED) } \
    } \
  }

#define STRIZH_HALF_HEIGHTS(X) X(1) X(2) X(3) X(4) X(5) X(6)
STRIZH_HALF_HEIGHTS(STRIZH_TILE_STORED)

static void product_stored_apart(size_t rows, const char* a, size_t a_stride, const char* b, size_t lines, float* c, size_t c_stride,
                                 bool accumulate) {
  for (size_t first = 0, count = rows > kTileRows / 2 ? divide_up(rows, 2) : rows; first < rows; first += count, count = rows - first) {
    const char* from = a + first * kLineBytes;
    float* to = c + first * c_stride;
#define STRIZH_CASE(ROWS) \
  case ROWS: product_stored_##ROWS(from, a_stride, b, lines, to, c_stride, accumulate); break;
    switch (count) { STRIZH_HALF_HEIGHTS(STRIZH_CASE) }
#undef STRIZH_CASE
  }
}
