// The product of one tile on AMX: 32 rows by 32 columns of sums in four tile registers, two for each operand. Included
// inside an instruction set's namespace, after tiles_amx.h or tiles_emulated.h and after a namespace `registers` that
// has the float product.
//
// Both packed layouts are what the tiles read: sixteen packed rows of one line are 1 KB without a gap, and one line of
// a panel is two tiles side by side, each one half of its 128-byte steps.
enum : size_t { kTileRows = 32, kHalf = 16, kPanelStride = kPanelColumns * kGroupBytes };
// One tile's product is too short to fetch a whole panel, and runs beside the vector units.
enum : size_t { kFetchingTiles = SIZE_MAX };
enum : size_t { kLinesAtOnce = 0, kTilesInParts = 1 };
enum : bool { kOverlapsEpilogue = true, kTakesOperandsApart = false };
static_assert(kAttendRows % kTileRows == 0, "attention's sums are whole tiles");

// Whole tiles first: one of up to 16 rows costs half as much as one of 32.
static inline size_t tile_edge(size_t rows, size_t tile) { return tile * kTileRows < rows ? tile * kTileRows : rows; }

static constexpr TileConfiguration kTiles = {
    1, 0, {}, {64, 64, 64, 64, 64, 64, 64, 64}, {16, 16, 16, 16, 16, 16, 16, 16}};

static void enter() { tiles_configure(kTiles); }
static void leave() { tiles_release(); }

// c[16 or 32][32]. Rows behind the last are computed too, from what lies there, and never used. `meanwhile` is called
// once a line.
template <Precision precision, bool both_halves, typename Meanwhile>
static void product_tiles(const char* a, size_t a_stride, const char* b, size_t lines, float* c, size_t c_stride,
                         bool accumulate, Fetch fetch, Meanwhile meanwhile) {
  const size_t c_bytes = c_stride * sizeof(float), half = kHalf * c_stride;
  if (accumulate) {
    tile_load<0>(c, c_bytes), tile_load<1>(c + kHalf, c_bytes);
    if (both_halves) tile_load<2>(c + half, c_bytes), tile_load<3>(c + half + kHalf, c_bytes);
  } else {
    tile_zero<0>(), tile_zero<1>();
    if (both_halves) tile_zero<2>(), tile_zero<3>();
  }
  const size_t step = divide_up(static_cast<size_t>(fetch.end - fetch.begin) / 64, lines) * 64;
  for (size_t line = 0; line < lines; line++, a += a_stride, b += panel_bytes(1)) {
    tile_load<4>(a, kLineBytes);
    tile_load<6>(b, kPanelStride);
    tile_load<7>(b + kPanelStride / 2, kPanelStride);
    tile_dot<precision, 0, 4, 6>();
    for (const char* end = fetch.begin + step; fetch.begin < end; fetch.begin += 64) __builtin_prefetch(fetch.begin, 0, 2);
    tile_dot<precision, 1, 4, 7>();
    meanwhile();
    if (both_halves) {
      tile_load<5>(a + kHalf * kLineBytes, kLineBytes);
      tile_dot<precision, 2, 5, 6>();
      tile_dot<precision, 3, 5, 7>();
    }
  }
  tile_store<0>(c, c_bytes), tile_store<1>(c + kHalf, c_bytes);
  if (both_halves) tile_store<2>(c + half, c_bytes), tile_store<3>(c + half + kHalf, c_bytes);
}

template <Precision precision, typename Meanwhile>
static inline void product_tile(size_t rows, const char* a, size_t a_stride, const char* b, size_t lines, float* c,
                                size_t c_stride, bool accumulate, SumOrder order, Fetch fetch, Meanwhile meanwhile) {
  if constexpr (precision != Precision::fp32) {
    if (rows <= kHalf) product_tiles<precision, false>(a, a_stride, b, lines, c, c_stride, accumulate, fetch, meanwhile);
    else product_tiles<precision, true>(a, a_stride, b, lines, c, c_stride, accumulate, fetch, meanwhile);
  } else {
    for (size_t line = 0; line < lines; line++) meanwhile();
    for (size_t tile = 0, first = 0; first < rows; tile++) {
      const size_t end = registers::tile_edge(rows, tile + 1);
      registers::product_tile<precision>(end - first, a + first * kLineBytes, a_stride, b, lines, c + first * c_stride,
                                         c_stride, accumulate, order, fetch);
      first = end;
    }
  }
}

template <Precision precision>
static inline void product_tile(size_t rows, const char* a, size_t a_stride, const char* b, size_t lines, float* c,
                                size_t c_stride, bool accumulate, SumOrder order, Fetch fetch) {
  product_tile<precision>(rows, a, a_stride, b, lines, c, c_stride, accumulate, order, fetch, [] {});
}
