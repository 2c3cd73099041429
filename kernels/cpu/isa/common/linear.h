// One linear layer on one block of packed rows: panels outside, tiles of rows inside, the epilogue on each tile while
// its sums are in the first-level cache.

template <Activation activation, typename Finish>
static inline void finish_tile(const float* sums, const float* bias, size_t rows, Finish finish) {
  for (size_t column = 0; column < kPanelColumns; column += kWidth) {
    const Vector b = bias ? load(bias + column) : broadcast(0.0f);
    for (size_t row = 0; row < rows; row++) {
      finish(row, column, activate<activation>(add(load(sums + row * kPanelColumns + column), b)));
    }
  }
}

template <Activation activation, Precision precision>
static inline void epilogue(const LinearCall& call, const float* sums, size_t panel, size_t first, size_t rows) {
  const float* bias = call.weights.bias ? call.weights.bias + panel * kPanelColumns : nullptr;
  if (call.epilogue == Epilogue::store) {
    float* out = call.out + first * call.out_stride + (panel - call.panel_begin) * kPanelColumns;
    return finish_tile<activation>(sums, bias, rows, [=](size_t row, size_t column, Vector x) {
      store(out + row * call.out_stride + column, x);
    });
  }
  if (call.epilogue == Epilogue::add) {
    float* out = call.out + first * call.out_stride + panel * kPanelColumns;
    return finish_tile<Activation::identity>(sums, bias, rows, [=](size_t row, size_t column, Vector x) {
      float* to = out + row * call.out_stride + column;
      store(to, add(load(to), x));
    });
  }
  const PackedRows to = call.packed;
  if (call.epilogue == Epilogue::activate) {
    return finish_tile<activation>(sums, bias, rows, [=](size_t row, size_t column, Vector x) {
      store_packed<precision>(to, first + row, panel * kPanelColumns + column, x);
    });
  }
  const float* up = sums + kTileRows * kPanelColumns;
  finish_tile<activation>(sums, bias, rows, [=](size_t row, size_t column, Vector x) {
    Vector y = load(up + row * kPanelColumns + column);
    if (bias) y = add(y, load(bias + kPanelColumns + column));
    store_packed<precision>(to, first + row, panel / 2 * kPanelColumns + column, multiply(x, y));
  });
}

static inline Fetch share_of(Fetch panel, size_t tile, size_t tiles) {
  if (!kFetchByEveryTile) return tile + 1 == tiles ? panel : Fetch{nullptr, nullptr, panel.limit};
  const size_t lines = static_cast<size_t>(panel.end - panel.begin) / kLineBytes;
  return {panel.begin + lines * tile / tiles * kLineBytes, panel.begin + lines * (tile + 1) / tiles * kLineBytes, panel.limit};
}

template <Activation activation, Precision precision>
static void linear_block(const LinearCall& call) {
  alignas(64) float sums[2 * kTileRows * kPanelColumns];
  const size_t lines = call.weights.lines, bytes = panel_bytes(lines);
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
        product_tile<precision>(rows, a, call.a.stride, b + i * bytes, lines, sums + i * kTileRows * kPanelColumns,
                                kPanelColumns, false, fetch);
      }
      epilogue<activation, precision>(call, sums, panel, first, rows);
      first = end;
    }
  }
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
  if (call.weights.precision == Precision::fp32) linear_in<Precision::fp32>(call);
  else linear_in<Precision::bf16>(call);
}
