// Rows of 8-bit integers, whose scale and zero are the row's own: its values lie evenly from the least to the greatest, 0 among
// them. Where one value is most of a row, as one channel of a first token often is, the others would share the few integers
// that it leaves: it is set aside as an excess, which the product adds as whole numbers. Smoothing multiplies the columns
// first: outliers that the weights have taken over.

constexpr float kOutlierShare = 0.125f;          // of the sum of a row's squares, beyond which a value is set aside
constexpr float kLeastRange = 1.0f / 1024;       // of the outlier: its product with a weight stays far within 32 bits
constexpr float kNothing = 7.888609052e-31f;     // 2^-100: a row that never exceeds it is zeros with scale 0
constexpr float kSteps = 255.0f;

// Of one row: byte = round(x * inverse, between low and high) + zero.
struct Rounding { float inverse, low, high; int32_t zero; };

struct Range { float low, high; };

static inline float nearest(float x) {
  alignas(64) float lanes[kWidth];
  store(lanes, nearest_integer(broadcast(x)));
  return lanes[0];
}

// The range of a row without the first value whose magnitude is `top`, which is kept with its column.
template <typename At>
static inline Range range_without(float top, size_t size, At at, uint32_t& outlier, float& value) {
  Vector low = broadcast(0.0f), high = broadcast(0.0f);
  bool found = false;
  for (size_t column = 0; column < size; column += kWidth) {
    Vector x = at(column);
    if (!found && largest(magnitude(x)) == top) {
      alignas(64) float lanes[kWidth];
      store(lanes, x);
      size_t lane = 0;
      while (lanes[lane] != top && lanes[lane] != -top) lane++;
      outlier = static_cast<uint32_t>(column + lane);
      value = lanes[lane];
      lanes[lane] = 0.0f;
      found = true;
      x = load(lanes);
    }
    low = minimum(low, x);
    high = maximum(high, x);
  }
  return {-largest(subtract(broadcast(0.0f), low)), largest(high)};
}

// Keeps what the bytes of row `r`, at(column) up to `size`, stand for, and says how to make them.
template <typename At>
static inline Rounding begin_row(PackedRows to, size_t r, size_t size, At at) {
  Vector lows = broadcast(0.0f), highs = broadcast(0.0f);
  const float total = sum_over(size, [&](size_t column, Vector squares) {
    const Vector x = at(column);
    lows = minimum(lows, x);
    highs = maximum(highs, x);
    return multiply_add(x, x, squares);
  });
  Range range = {-largest(subtract(broadcast(0.0f), lows)), largest(highs)};
  const float top = range.high > -range.low ? range.high : -range.low;
  RowCodes& codes = to.codes[r];
  codes = {0.0f, 0, 0, 0};
  if (!(top - top == 0.0f) || total != total) codes.scale = __builtin_nanf("");  // infinite or not a number: so is what comes of it
  if (!(top >= kNothing) || codes.scale != 0.0f) return {0.0f, 0.0f, 0.0f, 0};
  float value = 0.0f;
  if (top * top > kOutlierShare * total) range = range_without(top, size, at, codes.outlier, value);
  const float width = range.high - range.low, least = top * kLeastRange, steps = width > least ? width : least;
  const float inverse = kSteps / steps, zero = nearest(-range.low * inverse);
  codes.scale = steps / kSteps;
  codes.zero = static_cast<int32_t>(zero);
  const Rounding rounding = {inverse, -zero, kSteps - zero, codes.zero};
  const float whole = nearest(value * inverse);
  const float kept = whole < rounding.low ? rounding.low : whole > rounding.high ? rounding.high : whole;
  codes.excess = static_cast<int32_t>(whole - kept);
  return rounding;
}

static inline void store_quantized(PackedRows to, size_t row, size_t column, const Rounding& how, Vector x) {
  constexpr size_t line = elements_per_line(Precision::int8);
  char* p = to.data + column / line * to.stride + row * kLineBytes + column % line;
  const Vector scaled = maximum(minimum(multiply(x, broadcast(how.inverse)), broadcast(how.high)), broadcast(how.low));
  store_shifted_bytes(reinterpret_cast<uint8_t*>(p), scaled, how.zero);
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
    const Rounding how = begin_row(call.packed, r, call.size, at);
    for (size_t column = 0; column < call.size; column += kPanelColumns) {
      Vector x[kPanelColumns / kWidth];
      for (size_t i = 0; i < kPanelColumns / kWidth; i++) x[i] = at(column + i * kWidth);
      for (size_t i = 0; i < kPanelColumns / kWidth; i++) store_quantized(call.packed, r, column + i * kWidth, how, x[i]);
    }
  }
}
