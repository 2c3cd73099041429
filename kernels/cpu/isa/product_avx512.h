// The product of one register tile, up to 12 rows x 32 columns, on AVX-512. Included inside an instruction set's
// namespace, after dot_avx512.h.
//
// gcc 12 decides the shape of this file. An array of accumulators goes to the stack however it is unrolled, so they are
// single variables; the dot product intrinsics copy and spill every accumulator, so `dot` is one line of assembly.
enum : size_t { kTileRows = 12 };
enum : size_t { kFetchingTiles = 2 };
enum : size_t { kLinesAtOnce = 24, kTilesInParts = 12 };  // 48 KB of a panel beside a tile's rows
enum : bool { kOverlapsEpilogue = false, kTakesOperandsApart = true };

// First row of tile `tile`: as few tiles as possible, of nearly equal height, since a tile of fewer than six rows
// cannot hide the latency of the dot product.
static inline size_t tile_edge(size_t rows, size_t tile) {
  const size_t tiles = divide_up(rows, kTileRows);
  return tile >= tiles ? rows : tile * rows / tiles;
}

// A load of one byte that nothing waits for. A prefetch into a page that the address cache does not know is slow or
// lost, and a memory-mapped file has pages of 4 KB only; so a real load meets every page four pages before the
// prefetches do. Worth 20 % with 16 rows of bf16 on Zen 4, if it is one load a page: where it misses, everything behind it
// waits to retire. In 8-bit products that costs 20 %, more than it brings, and they do without.
static inline void touch(const char* p) {
  uint32_t unused;
  asm volatile("movzbl (%1), %0" : "=r"(unused) : "r"(p));
}
enum : size_t { kTouchAhead = 16384 };

template <Precision precision>
static inline void meet_page(const char* next, size_t step, const char* limit) {
  if constexpr (precision == Precision::int8) return;
  const bool begins = (reinterpret_cast<uintptr_t>(next) & 4095) < kLineGroups * step;
  if (begins && next + kTouchAhead < limit) touch(next + kTouchAhead);
}

// Bytes that each of a panel's groups fetches: two lines, or one where two tiles share the next panel. Then every line is asked for
// twice, in one group and in the next, which costs nothing. What is left over, the scales behind an 8-bit panel, is fetched at once.
static inline size_t fetch_step(Fetch fetch, size_t lines) {
  const size_t groups = lines * kLineGroups, step = static_cast<size_t>(fetch.end - fetch.begin) < groups * 96 ? 64 : 128;
  for (const char* rest = fetch.begin + groups * step; rest < fetch.end; rest += 64) _mm_prefetch(rest, _MM_HINT_T1);
  return step;
}

#define STRIZH_ROWS_1(X) X(0)
#define STRIZH_ROWS_2(X) STRIZH_ROWS_1(X) X(1)
#define STRIZH_ROWS_3(X) STRIZH_ROWS_2(X) X(2)
#define STRIZH_ROWS_4(X) STRIZH_ROWS_3(X) X(3)
#define STRIZH_ROWS_5(X) STRIZH_ROWS_4(X) X(4)
#define STRIZH_ROWS_6(X) STRIZH_ROWS_5(X) X(5)
#define STRIZH_ROWS_7(X) STRIZH_ROWS_6(X) X(6)
#define STRIZH_ROWS_8(X) STRIZH_ROWS_7(X) X(7)
#define STRIZH_ROWS_9(X) STRIZH_ROWS_8(X) X(8)
#define STRIZH_ROWS_10(X) STRIZH_ROWS_9(X) X(9)
#define STRIZH_ROWS_11(X) STRIZH_ROWS_10(X) X(10)
#define STRIZH_ROWS_12(X) STRIZH_ROWS_11(X) X(11)

// Every height of a tile: a function for each.
#define STRIZH_HEIGHTS(X) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11) X(12)

#define STRIZH_LOAD(r) \
  __m512 low##r = accumulate ? _mm512_loadu_ps(c + r * c_stride) : _mm512_setzero_ps(); \
  __m512 high##r = accumulate ? _mm512_loadu_ps(c + r * c_stride + 16) : _mm512_setzero_ps();
#define STRIZH_STEP(r) { \
  const __m512i group = _mm512_set1_epi32(*reinterpret_cast<const int32_t*>(a + r * kLineBytes + k)); \
  dot<precision>(low##r, group, low); \
  dot<precision>(high##r, group, high); }
#define STRIZH_STORE(r) \
  _mm512_storeu_ps(c + r * c_stride, low##r); \
  _mm512_storeu_ps(c + r * c_stride + 16, high##r);

#define STRIZH_TILE(ROWS) \
  template <Precision precision> \
  static void product_##ROWS(const char* a, size_t a_stride, const char* b, size_t lines, float* c, size_t c_stride, \
                             bool accumulate, Fetch fetch) { \
    const char* next = fetch.begin; \
    const size_t step = fetch_step(fetch, lines); \
    STRIZH_ROWS_##ROWS(STRIZH_LOAD) \
    for (size_t line = 0; line < lines; line++, a += a_stride) { \
      meet_page<precision>(next, step, fetch.limit); \
      for (size_t k = 0; k < kLineBytes; k += kGroupBytes, b += 128, next += step) { \
        const __m512i low = _mm512_loadu_si512(b), high = _mm512_loadu_si512(b + 64); \
        _mm_prefetch(next, _MM_HINT_T1); \
        _mm_prefetch(next + 64, _MM_HINT_T1); \
        STRIZH_ROWS_##ROWS(STRIZH_STEP) \
      } \
    } \
    STRIZH_ROWS_##ROWS(STRIZH_STORE) \
  }

STRIZH_HEIGHTS(STRIZH_TILE)

#include "product_avx512_tiles.h"

template <Precision precision>
static inline void product_tile(size_t rows, const char* a, size_t a_stride, const char* b, size_t lines, float* c,
                                size_t c_stride, bool accumulate, SumOrder order, Fetch fetch) {
  if (fetch.begin == nullptr) fetch.begin = fetch.end = b;  // what is in the cache already costs next to nothing
  if constexpr (precision == Precision::bf16) {
    if (order == SumOrder::tiles) return product_in_tiles_order(rows, a, a_stride, b, lines, c, c_stride, accumulate, fetch);
    if (order == SumOrder::tiles_of_operands_apart) return product_stored_apart(rows, a, a_stride, b, lines, c, c_stride, accumulate);
  }
#define STRIZH_CASE(ROWS) \
  case ROWS: return product_##ROWS<precision>(a, a_stride, b, lines, c, c_stride, accumulate, fetch);
  switch (rows) { STRIZH_HEIGHTS(STRIZH_CASE) }
#undef STRIZH_CASE
}
