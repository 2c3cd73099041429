// The product of one tile where the best instruction is a float multiply-add (AVX2, NEON). Included inside an
// instruction set's namespace, after its vector header and integers_*.h.
//
// Sums of six rows by 16 columns, or of three by 32, stay in registers. k passes in blocks whose part of A and B fits
// the first-level cache, so that all groups of rows share what was fetched; bf16 is spread to floats there, once for
// all of them. Every sum runs over k in order, one multiply-add after the other, whatever the rows and blocks; of a pair of
// bf16 the second comes first, as in vdpbf16ps, if the order of sums is not that of AMX's tiles.
enum : size_t { kTileRows = 24, kRegisterRows = 6 };
enum : size_t { kFetchingTiles = 1 };
enum : size_t { kLinesAtOnce = 0, kTilesInParts = 1 };
enum : bool { kOverlapsEpilogue = false, kTakesOperandsApart = false };
enum : size_t { kBlockLines = 4, kBlockGroups = kBlockLines * kLineGroups };

static inline size_t nearly_equal(size_t n, size_t parts, size_t i) { return i >= parts ? n : i * n / parts; }

static inline size_t tile_edge(size_t rows, size_t tile) { return nearly_equal(rows, divide_up(rows, kTileRows), tile); }

template <size_t rows, size_t columns>
static void product_registers(const char* a, size_t a_stride, const char* b, size_t lines, float* c, size_t c_stride,
                              bool accumulate, const char* next) {
  constexpr size_t vectors = columns / kWidth;
  Vector sums[rows][vectors];
#pragma GCC unroll 8
  for (size_t r = 0; r < rows; r++)
#pragma GCC unroll 8
    for (size_t v = 0; v < vectors; v++) sums[r][v] = accumulate ? load(c + r * c_stride + v * kWidth) : broadcast(0.0f);

  for (size_t line = 0; line < lines; line++, a += a_stride)
    for (size_t k = 0; k < kLineBytes; k += kGroupBytes, b += kPanelColumns * kGroupBytes, next += kPanelColumns * kGroupBytes) {
      Vector group[vectors];
      for (size_t i = 0; i < columns * kGroupBytes; i += 64) __builtin_prefetch(next + i, 0, 2);
#pragma GCC unroll 8
      for (size_t v = 0; v < vectors; v++) group[v] = load(reinterpret_cast<const float*>(b) + v * kWidth);
#pragma GCC unroll 8
      for (size_t r = 0; r < rows; r++) {
        const Vector row = broadcast(*reinterpret_cast<const float*>(a + r * kLineBytes + k));
#pragma GCC unroll 8
        for (size_t v = 0; v < vectors; v++) sums[r][v] = multiply_add(row, group[v], sums[r][v]);
      }
    }

#pragma GCC unroll 8
  for (size_t r = 0; r < rows; r++)
#pragma GCC unroll 8
    for (size_t v = 0; v < vectors; v++) store(c + r * c_stride + v * kWidth, sums[r][v]);
}

template <size_t columns>
static inline void product_rows(size_t rows, const char* a, size_t a_stride, const char* b, size_t lines, float* c,
                                size_t c_stride, bool accumulate, const char* next) {
  switch (rows) {
    case 1: return product_registers<1, columns>(a, a_stride, b, lines, c, c_stride, accumulate, next);
    case 2: return product_registers<2, columns>(a, a_stride, b, lines, c, c_stride, accumulate, next);
    case 3: return product_registers<3, columns>(a, a_stride, b, lines, c, c_stride, accumulate, next);
  }
  if constexpr (columns < kPanelColumns) {
    switch (rows) {
      case 4: return product_registers<4, columns>(a, a_stride, b, lines, c, c_stride, accumulate, next);
      case 5: return product_registers<5, columns>(a, a_stride, b, lines, c, c_stride, accumulate, next);
      case 6: return product_registers<6, columns>(a, a_stride, b, lines, c, c_stride, accumulate, next);
    }
  }
}

// At most kBlockLines lines of floats; the first group of rows fetches `next`.
static void product_block(size_t rows, const char* a, size_t a_stride, const char* b, size_t lines, float* c,
                          size_t c_stride, bool accumulate, const char* next) {
  constexpr size_t half = kPanelColumns / 2;
  const size_t groups = divide_up(rows, kRegisterRows);
  if (rows <= kRegisterRows / 2)
    return product_rows<kPanelColumns>(rows, a, a_stride, b, lines, c, c_stride, accumulate, next);
  for (size_t column = 0; column < kPanelColumns; column += half)
    for (size_t group = 0; group < groups; group++) {
      const size_t first = nearly_equal(rows, groups, group), count = nearly_equal(rows, groups, group + 1) - first;
      product_rows<half>(count, a + first * kLineBytes, a_stride, b + column * kGroupBytes, lines,
                         c + first * c_stride + column, c_stride, accumulate, (group ? b : next) + column * kGroupBytes);
    }
}

// Lines of packed bf16 rows as twice as many lines of floats.
static inline void spread_rows(size_t rows, const char* from, size_t stride, size_t lines, float* to) {
  for (size_t line = 0; line < lines; line++)
    for (size_t half = 0; half < 2; half++, to += kTileRows * kLineGroups)
      for (size_t row = 0; row < rows; row++)
        for (size_t i = 0; i < kLineGroups; i += kWidth)
          store(to + row * kLineGroups + i,
                load_bf16_swapped(reinterpret_cast<const uint16_t*>(from + line * stride + row * kLineBytes) + half * kLineGroups + i));
}

// Lines of a bf16 panel as twice as many lines of a float panel.
static inline void spread_panel(const char* from, size_t lines, float* to) {
  const uint32_t* pairs = reinterpret_cast<const uint32_t*>(from);
  for (size_t group = 0; group < lines * kLineGroups; group++, pairs += kPanelColumns, to += 2 * kPanelColumns)
    for (size_t column = 0; column < kPanelColumns; column += kWidth) {
      Vector even, odd;
      load_pairs(pairs + column, even, odd);
      store(to + column, odd);
      store(to + kPanelColumns + column, even);
    }
}

// Groups of bf16 as floats, their even elements and their odd ones apart.
static inline void spread_apart(const char* groups, size_t count, float* even, float* odd) {
  for (size_t i = 0; i < count; i += kWidth) {
    Vector low, high;
    load_pairs(reinterpret_cast<const uint32_t*>(groups) + i, low, high);
    store(even + i, low);
    store(odd + i, high);
  }
}

// bf16 as AMX's tiles add it (kernels.h): a line is a product over its even k and one over its odd k.
static void product_in_tiles_order(size_t rows, const char* a, size_t a_stride, const char* b, size_t lines, float* c,
                                   size_t c_stride, bool accumulate, Fetch fetch) {
  alignas(64) float left[2][kTileRows * kLineGroups], right[2][kPanelColumns * kLineGroups], sums[2][kTileRows * kPanelColumns];
  for (size_t line = 0; line < lines; line++, a += a_stride, b += panel_bytes(1)) {
    spread_apart(a, rows * kLineGroups, left[0], left[1]);
    spread_apart(b, kPanelColumns * kLineGroups, right[0], right[1]);
    for (size_t i = 0; i < 2; i++) {
      // What is in the cache already costs next to nothing to fetch.
      const char* fetched = fetch.begin && i == 0 ? fetch.begin + panel_bytes(line) : b;
      product_block(rows, reinterpret_cast<const char*>(left[i]), 0, reinterpret_cast<const char*>(right[i]), 1, sums[i],
                    kPanelColumns, false, fetched);
    }
    for (size_t row = 0; row < rows; row++)
      for (size_t column = 0; column < kPanelColumns; column += kWidth) {
        const size_t at = row * kPanelColumns + column;
        float* to = c + row * c_stride + column;
        store(to, add(accumulate || line ? load(to) : broadcast(0.0f), add(load(sums[0] + at), load(sums[1] + at))));
      }
  }
}

template <Precision precision>
static void product_tile(size_t rows, const char* a, size_t a_stride, const char* b, size_t lines, float* c,
                         size_t c_stride, bool accumulate, SumOrder order, Fetch fetch) {
  if constexpr (precision == Precision::int8) return product_integers(rows, a, a_stride, b, lines, c, c_stride);
  if (precision == Precision::bf16 && order == SumOrder::tiles)
    return product_in_tiles_order(rows, a, a_stride, b, lines, c, c_stride, accumulate, fetch);
  constexpr size_t step = kBlockLines / elements_per_group(precision);
  for (size_t line = 0; line < lines; line += step, a += step * a_stride, b += panel_bytes(step)) {
    const size_t count = lines - line < step ? lines - line : step;
    // What is in the cache already costs next to nothing to fetch.
    const char* fetched = fetch.begin ? fetch.begin + panel_bytes(line) : b;
    if constexpr (precision == Precision::fp32) {
      product_block(rows, a, a_stride, b, count, c, c_stride, accumulate || line, fetched);
    } else {
      alignas(64) float left[kTileRows * kBlockGroups], right[kPanelColumns * kBlockGroups];
      spread_rows(rows, a, a_stride, count, left);
      spread_panel(b, count, right);
      product_block(rows, reinterpret_cast<const char*>(left), kTileRows * kLineBytes, reinterpret_cast<const char*>(right),
                    2 * count, c, c_stride, accumulate || line, fetched);
    }
  }
}
