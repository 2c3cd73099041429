// One linear layer on one block of packed rows: panels outside, tiles of rows inside, the epilogue on each tile while
// its sums are in the first-level cache: after its product or, where that leaves the vector units idle (AMX), a few rows
// at a time during the next tile's.

// The sums of one tile, and what makes values of them.
struct TileSums {
  const float* sums;
  const float* bias;      // of its 32 columns, or null
  const char* scales;     // of its 32 columns, at the end of an 8-bit panel
  const RowCodes* codes;  // of 8-bit rows
};

// kWidth columns of a tile, row by row.
template <Precision precision>
struct TileColumns {
  __attribute__((always_inline)) TileColumns(const TileSums& tile, size_t column)  // inline: no symbol may be left
      : sums(tile.sums + column), bias(tile.bias ? load(tile.bias + column) : broadcast(0.0f)), codes(tile.codes) {
    if constexpr (precision == Precision::int8) {
      scale = load(reinterpret_cast<const float*>(tile.scales) + column);
      weights = load_column_sums(reinterpret_cast<const int32_t*>(tile.scales) + kPanelColumns + column);
    }
  }

  __attribute__((always_inline)) Vector row(size_t r) const {
    const float* at = sums + r * kPanelColumns;
    if constexpr (precision != Precision::int8) return add(load(at), bias);
    else return multiply_add(load_corrected(at, weights, codes[r].zero), multiply(scale, broadcast(codes[r].scale)), bias);
  }

  const float* sums;
  Vector bias, scale;
  Integers weights;  // the sums of each column's
  const RowCodes* codes;
};

template <Activation activation, Precision precision, Precision result, typename Finish>
static inline void finish_tile(const TileSums& tile, size_t rows, Finish finish) {
  for (size_t column = 0; column < kPanelColumns; column += kWidth) {
    const TileColumns<precision> columns(tile, column);
    for (size_t row = 0; row < rows; row++) finish(row, column, activate<activation, result>(columns.row(row)));
  }
}

static inline TileSums tile_sums(const LinearCall& call, const float* sums, size_t panel, size_t first) {
  const Linear& w = call.weights;
  return {sums, w.bias ? w.bias + panel * kPanelColumns : nullptr,
          w.panels + panel * panel_bytes(w.lines, w.precision) + panel_bytes(w.lines), call.a.codes + first};
}

// What the rows' bytes could not hold of their outliers, times the weights of those columns: whole numbers too.
static inline void add_outliers(const LinearCall& call, float* sums, size_t panel, size_t first, size_t rows) {
  const char* b = call.weights.panels + panel * panel_bytes(call.weights.lines, Precision::int8);
  for (size_t row = 0; row < rows; row++) {
    const RowCodes& codes = call.a.codes[first + row];
    if (codes.excess == 0) continue;
    const char* groups = b + codes.outlier / kGroupBytes * kPanelColumns * kGroupBytes;
    for (size_t column = 0; column < kPanelColumns; column += kWidth)
      add_bytes(sums + row * kPanelColumns + column, groups + column * kGroupBytes, codes.outlier % kGroupBytes, codes.excess);
  }
}

template <Activation activation, Precision precision>
static inline void epilogue(const LinearCall& call, float* sums, size_t panel, size_t first, size_t rows) {
  constexpr Precision packed = precision == Precision::int8 ? Precision::bf16 : precision;
  if constexpr (precision == Precision::int8) {
    add_outliers(call, sums, panel, first, rows);
    if (call.epilogue == Epilogue::gate) add_outliers(call, sums + kTileRows * kPanelColumns, panel + 1, first, rows);
  }
  const TileSums tile = tile_sums(call, sums, panel, first);
  if (call.epilogue == Epilogue::store) {
    float* out = call.out + first * call.out_stride + (panel - call.panel_begin) * kPanelColumns;
    return finish_tile<activation, precision, Precision::fp32>(tile, rows, [=](size_t row, size_t column, Vector x) {
      store(out + row * call.out_stride + column, x);
    });
  }
  if (call.epilogue == Epilogue::add) {
    float* out = call.out + first * call.out_stride + panel * kPanelColumns;
    return finish_tile<Activation::identity, precision, Precision::fp32>(tile, rows, [=](size_t row, size_t column, Vector x) {
      float* to = out + row * call.out_stride + column;
      store(to, add(load(to), x));
    });
  }
  const PackedRows to = call.packed;
  if (call.epilogue == Epilogue::activate) {
    return finish_tile<activation, precision, packed>(tile, rows, [=](size_t row, size_t column, Vector x) {
      store_packed<packed>(to, first + row, panel * kPanelColumns + column, x);
    });
  }
  const TileSums up = tile_sums(call, sums + kTileRows * kPanelColumns, panel + 1, first);
  finish_tile<activation, precision, packed>(tile, rows, [=](size_t row, size_t column, Vector x) {
    const Vector y = TileColumns<precision>(up, column).row(row);
    store_packed<packed>(to, first + row, panel / 2 * kPanelColumns + column, multiply(x, y));
  });
}

static inline Fetch share_of(Fetch panel, size_t tile, size_t tiles) {
  const size_t parts = tiles < kFetchingTiles ? tiles : kFetchingTiles, lines = static_cast<size_t>(panel.end - panel.begin) / kLineBytes;
  if (tile + parts < tiles) return {nullptr, nullptr, panel.limit};
  const size_t part = tile + parts - tiles;
  return {panel.begin + lines * part / parts * kLineBytes, panel.begin + lines * (part + 1) / parts * kLineBytes, panel.limit};
}

// A tile whose sums are complete and whose first `done` rows are finished.
struct Waiting { size_t panel, first, rows, done; };

template <Activation activation, Precision precision>
static inline void finish_rows(const LinearCall& call, float* sums, Waiting& tile, size_t most) {
  const size_t rows = tile.rows - tile.done < most ? tile.rows - tile.done : most;
  if (rows == 0) return;
  epilogue<activation, precision>(call, sums + tile.done * kPanelColumns, tile.panel, tile.first + tile.done, rows);
  tile.done += rows;
}

// Panels so long that one and the block's rows do not fit into the second-level cache together (down: 196 KB beside 0.6 MB), in parts.
// Each element's chain of sums goes on where it was, so that the bits are those of whole panels.
template <Activation activation, Precision precision>
static void linear_block_in_parts(const LinearCall& call) {
  alignas(64) float sums[kTilesInParts][kTileRows * kPanelColumns];
  const size_t lines = call.weights.lines, bytes = panel_bytes(lines, precision), tiles = divide_up(call.rows, kTileRows);
  const size_t parts = divide_up(lines, kLinesAtOnce);
  const char* limit = call.weights.panels + call.fetch_end * bytes;
  for (size_t panel = call.panel_begin; panel < call.panel_end; panel++) {
    const char* b = call.weights.panels + panel * bytes;
    for (size_t part = 0; part < parts; part++) {
      const size_t begin = lines * part / parts, end = lines * (part + 1) / parts;
      const bool last = part + 1 == parts, follows = !last || panel + 1 < call.fetch_end;
      const char* next = last ? b + bytes : b + panel_bytes(end);
      const char* after = next + panel_bytes(lines / parts);
      for (size_t tile = 0, first = 0; first < call.rows; tile++) {
        const size_t edge = tile_edge(call.rows, tile + 1), rows = edge - first;
        const Fetch fetch = follows ? share_of({next, after, limit}, tile, tiles) : Fetch{nullptr, nullptr, limit};
        product_tile<precision>(rows, call.a.data + begin * call.a.stride + first * kLineBytes, call.a.stride, b + panel_bytes(begin),
                                end - begin, sums[tile], kPanelColumns, part > 0, call.weights.order, fetch);
        if (last) epilogue<activation, precision>(call, sums[tile], panel, first, rows);
        first = edge;
      }
    }
  }
}

template <Activation activation, Precision precision>
static void linear_block(const LinearCall& call) {
  if constexpr (kLinesAtOnce > 0) {
    const bool fits = call.rows <= kTilesInParts * kTileRows && call.epilogue != Epilogue::gate;
    if (fits && call.rows > 4 * kTileRows && call.weights.lines >= 2 * kLinesAtOnce)
      return linear_block_in_parts<activation, precision>(call);
  }
  alignas(64) float sums[kOverlapsEpilogue ? 2 : 1][2 * kTileRows * kPanelColumns];
  size_t turn = 0;
  Waiting waiting{};
  const size_t lines = call.weights.lines, bytes = panel_bytes(lines, precision);
  const char* limit = call.weights.panels + call.fetch_end * bytes;
  const size_t together = call.epilogue == Epilogue::gate ? 2 : 1, tiles = divide_up(call.rows, kTileRows);
  for (size_t panel = call.panel_begin; panel < call.panel_end; panel += together) {
    const char* b = call.weights.panels + panel * bytes;
    for (size_t tile = 0, first = 0; first < call.rows; tile++) {
      const size_t end = tile_edge(call.rows, tile + 1), rows = end - first;
      const char* a = call.a.data + first * kLineBytes;
      for (size_t i = 0; i < together; i++) {
        const char* next = b + (together + i) * bytes;
        const bool follows = panel + together < call.fetch_end;
        const Fetch fetch = follows ? share_of({next, next + bytes, limit}, tile, tiles) : Fetch{nullptr, nullptr, limit};
        float* to = sums[turn] + i * kTileRows * kPanelColumns;
        if constexpr (kOverlapsEpilogue) {
          const size_t step = divide_up(waiting.rows, together * lines);
          product_tile<precision>(rows, a, call.a.stride, b + i * bytes, lines, to, kPanelColumns, false, call.weights.order, fetch,
                                  [&] { finish_rows<activation, precision>(call, sums[1 - turn], waiting, step); });
        } else {
          product_tile<precision>(rows, a, call.a.stride, b + i * bytes, lines, to, kPanelColumns, false, call.weights.order, fetch);
        }
      }
      waiting = {panel, first, rows, 0};
      if constexpr (kOverlapsEpilogue) turn = 1 - turn;
      else finish_rows<activation, precision>(call, sums[0], waiting, rows);
      first = end;
    }
  }
  if constexpr (kOverlapsEpilogue) finish_rows<activation, precision>(call, sums[1 - turn], waiting, waiting.rows);
}

template <Precision precision>
static void linear_in(const LinearCall& call) {
  switch (call.activation) {
    case Activation::gelu: return linear_block<Activation::gelu, precision>(call);
    case Activation::gelu_tanh: return linear_block<Activation::gelu_tanh, precision>(call);
    case Activation::silu: return linear_block<Activation::silu, precision>(call);
    case Activation::relu: return linear_block<Activation::relu, precision>(call);
    case Activation::tanh: return linear_block<Activation::tanh, precision>(call);
    case Activation::sigmoid: return linear_block<Activation::sigmoid, precision>(call);
    case Activation::identity: return linear_block<Activation::identity, precision>(call);
  }
}

static void linear(const LinearCall& call) {
  switch (call.weights.precision) {
    case Precision::fp32: return linear_in<Precision::fp32>(call);
    case Precision::bf16: return linear_in<Precision::bf16>(call);
    case Precision::int8: return linear_in<Precision::int8>(call);
  }
}
