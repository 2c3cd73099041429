// Rows of 8-bit integers: q = round(127 x / max|x|), stored as q + 128, beside the row's scale max|x| / 127. Smoothing
// multiplies their columns first: outliers that the weights have taken over.

// Keeps the scale of row `r` and gives its inverse. A row of zeros, or of next to nothing, is zeros with scale 0.
static inline float begin_row(PackedRows to, size_t r, float top) {
  const bool zero = !(top >= 7.888609052e-31f);  // 2^-100: 127 / top stays finite
  to.scales[r] = zero ? 0.0f : top / 127.0f;
  return zero ? 0.0f : 127.0f / top;
}

static inline void store_quantized(PackedRows to, size_t row, size_t column, Vector x) {
  constexpr size_t line = elements_per_line(Precision::int8);
  char* p = to.data + column / line * to.stride + row * kLineBytes + column % line;
  store_shifted_bytes(reinterpret_cast<uint8_t*>(p), x);
}

static inline Vector smoothed(const float* smoothing, Vector x, size_t column) {
  return smoothing ? multiply(x, load(smoothing + column)) : x;
}

// In place: line i takes what lines 2 i and 2 i + 1 held, which have been read by then.
static void quantize(const QuantizeCall& call) {
  constexpr size_t line = elements_per_line(Precision::bf16);
  for (size_t r = 0; r < call.rows; r++) {
    const auto at = [&](size_t column) {
      const char* p = call.packed.data + column / line * call.packed.stride + r * kLineBytes;
      return smoothed(call.smoothing, load_bf16(reinterpret_cast<const uint16_t*>(p) + column % line), column);
    };
    Vector top = broadcast(0.0f);
    for (size_t column = 0; column < call.size; column += kWidth) top = maximum(top, magnitude(at(column)));
    const Vector inverse = broadcast(begin_row(call.packed, r, largest(top)));
    for (size_t column = 0; column < call.size; column += kPanelColumns) {
      Vector x[kPanelColumns / kWidth];
      for (size_t i = 0; i < kPanelColumns / kWidth; i++) x[i] = multiply(at(column + i * kWidth), inverse);
      for (size_t i = 0; i < kPanelColumns / kWidth; i++) store_quantized(call.packed, r, column + i * kWidth, x[i]);
    }
  }
}
