// The product of one tile where the best instruction is a float multiply-add (AVX2, NEON). Included inside an
// instruction set's namespace, after its vector header.
//
// Six rows by sixteen columns of sums stay in registers. k passes in blocks whose part of A and B fits the first-level
// cache, so that four groups of rows share what was fetched; bf16 is spread to floats there, once for all of them.
// Every sum runs over k in order, one multiply-add after the other, whatever the rows and blocks.
enum : size_t { kTileRows = 24, kRegisterRows = 6, kRegisterColumns = 16, kRegisterVectors = kRegisterColumns / kWidth };
enum : size_t { kBlockLines = 8, kBlockGroups = kBlockLines * kLineGroups };

static inline size_t nearly_equal(size_t n, size_t parts, size_t i) { return i >= parts ? n : i * n / parts; }

static inline size_t tile_edge(size_t rows, size_t tile) { return nearly_equal(rows, divide_up(rows, kTileRows), tile); }

template <size_t rows>
static void product_registers(const char* a, size_t a_stride, const char* b, size_t lines, float* c, size_t c_stride,
                              bool accumulate) {
  Vector sums[rows][kRegisterVectors];
#pragma GCC unroll 8
  for (size_t r = 0; r < rows; r++)
#pragma GCC unroll 8
    for (size_t v = 0; v < kRegisterVectors; v++)
      sums[r][v] = accumulate ? load(c + r * c_stride + v * kWidth) : broadcast(0.0f);

  for (size_t line = 0; line < lines; line++, a += a_stride)
    for (size_t k = 0; k < kLineBytes; k += kGroupBytes, b += kPanelColumns * kGroupBytes) {
      Vector columns[kRegisterVectors];
#pragma GCC unroll 8
      for (size_t v = 0; v < kRegisterVectors; v++) columns[v] = load(reinterpret_cast<const float*>(b) + v * kWidth);
#pragma GCC unroll 8
      for (size_t r = 0; r < rows; r++) {
        const Vector row = broadcast(*reinterpret_cast<const float*>(a + r * kLineBytes + k));
#pragma GCC unroll 8
        for (size_t v = 0; v < kRegisterVectors; v++) sums[r][v] = multiply_add(row, columns[v], sums[r][v]);
      }
    }

#pragma GCC unroll 8
  for (size_t r = 0; r < rows; r++)
#pragma GCC unroll 8
    for (size_t v = 0; v < kRegisterVectors; v++) store(c + r * c_stride + v * kWidth, sums[r][v]);
}

// At most kBlockLines lines of floats.
static void product_block(size_t rows, const char* a, size_t a_stride, const char* b, size_t lines, float* c,
                          size_t c_stride, bool accumulate) {
  const size_t groups = divide_up(rows, kRegisterRows);
  for (size_t column = 0; column < kPanelColumns; column += kRegisterColumns, c += kRegisterColumns, b += kRegisterColumns * kGroupBytes)
    for (size_t group = 0; group < groups; group++) {
      const size_t first = nearly_equal(rows, groups, group);
      const char* from = a + first * kLineBytes;
      float* to = c + first * c_stride;
      switch (nearly_equal(rows, groups, group + 1) - first) {
        case 1: product_registers<1>(from, a_stride, b, lines, to, c_stride, accumulate); break;
        case 2: product_registers<2>(from, a_stride, b, lines, to, c_stride, accumulate); break;
        case 3: product_registers<3>(from, a_stride, b, lines, to, c_stride, accumulate); break;
        case 4: product_registers<4>(from, a_stride, b, lines, to, c_stride, accumulate); break;
        case 5: product_registers<5>(from, a_stride, b, lines, to, c_stride, accumulate); break;
        case 6: product_registers<6>(from, a_stride, b, lines, to, c_stride, accumulate); break;
      }
    }
}

static inline void fetch(const char* data, size_t bytes) {
  for (size_t i = 0; i < bytes; i += 64) __builtin_prefetch(data + i, 0, 2);
}

// Lines of packed bf16 rows as twice as many lines of floats.
static inline void spread_rows(size_t rows, const char* from, size_t stride, size_t lines, float* to) {
  for (size_t line = 0; line < lines; line++)
    for (size_t half = 0; half < 2; half++, to += kTileRows * kLineGroups)
      for (size_t row = 0; row < rows; row++)
        for (size_t i = 0; i < kLineGroups; i += kWidth)
          store(to + row * kLineGroups + i,
                load_bf16(reinterpret_cast<const uint16_t*>(from + line * stride + row * kLineBytes) + half * kLineGroups + i));
}

// Lines of a bf16 panel as twice as many lines of a float panel.
static inline void spread_panel(const char* from, size_t lines, float* to) {
  const uint32_t* pairs = reinterpret_cast<const uint32_t*>(from);
  for (size_t group = 0; group < lines * kLineGroups; group++, pairs += kPanelColumns, to += 2 * kPanelColumns)
    for (size_t column = 0; column < kPanelColumns; column += kWidth) {
      Vector even, odd;
      load_pairs(pairs + column, even, odd);
      store(to + column, even);
      store(to + kPanelColumns + column, odd);
    }
}

template <Precision precision>
static void product_tile(size_t rows, const char* a, size_t a_stride, const char* b, size_t lines, float* c,
                         size_t c_stride, bool accumulate, const char* next) {
  constexpr size_t step = kBlockLines / elements_per_group(precision);
  for (size_t line = 0; line < lines; line += step, a += step * a_stride, b += panel_bytes(step)) {
    const size_t count = lines - line < step ? lines - line : step;
    if (next) fetch(next + panel_bytes(line), panel_bytes(count));
    if constexpr (precision == Precision::fp32) {
      product_block(rows, a, a_stride, b, count, c, c_stride, accumulate || line);
    } else {
      alignas(64) float left[kTileRows * kBlockGroups], right[kPanelColumns * kBlockGroups];
      spread_rows(rows, a, a_stride, count, left);
      spread_panel(b, count, right);
      product_block(rows, reinterpret_cast<const char*>(left), kTileRows * kLineBytes, reinterpret_cast<const char*>(right),
                    2 * count, c, c_stride, accumulate || line);
    }
  }
}
