// Rows of 8-bit integers, whose scale and zero are the row's own: its values lie evenly from the least to the greatest, 0 among
// them. Where one value is most of a row, as one channel of a first token often is, the others would share the few integers
// that it leaves: it is set aside as an excess, which the product adds as whole numbers. Smoothing multiplies the columns
// first: outliers that the weights have taken over.

constexpr float kOutlierShare = 0.125f;          // of the sum of a row's squares, beyond which a value is set aside
constexpr float kLeastRange = 1.0f / 1024;       // of the outlier: its product with a weight stays far within 32 bits
constexpr float kNothing = 7.888609052e-31f;     // 2^-100: a row that never exceeds it is zeros with scale 0
constexpr float kSteps = 255.0f;

// Of one row: byte = round(x * inverse) + zero, kept within [0, 255].
struct Rounding { float inverse; int32_t zero; };

struct Range { float low, high; };

// Of |x| < 2^22: ties to even, by 1.5 * 2^23.
static inline float nearest(float x) { return x + 12582912.0f - 12582912.0f; }

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

// What the bytes of a row stand for, at(column) up to `size`, whose range and sum of squares these are; and how to make them.
template <typename At>
static inline Rounding begin_row(Range range, float squares, size_t size, At at, RowCodes& codes) {
  const float top = range.high > -range.low ? range.high : -range.low;
  codes = {0.0f, 0, 0, 0};
  if (!(top - top == 0.0f) || squares != squares) codes.scale = __builtin_nanf("");  // infinite or not a number: so is what comes of it
  if (!(top >= kNothing) || codes.scale != 0.0f) return {0.0f, 0};
  float value = 0.0f;
  if (top * top > kOutlierShare * squares) range = range_without(top, size, at, codes.outlier, value);
  const float width = range.high - range.low, least = top * kLeastRange, steps = width > least ? width : least;
  const float inverse = kSteps / steps, zero = nearest(-range.low * inverse);
  codes.scale = steps / kSteps;
  codes.zero = static_cast<int32_t>(zero);
  const float low = -zero, high = kSteps - zero, whole = nearest(value * inverse);
  const float kept = whole < low ? low : whole > high ? high : whole;
  codes.excess = static_cast<int32_t>(whole - kept);
  return {inverse, codes.zero};
}

// The same of `count` rows from `first` on, at(which of them, column), side by side: no row waits for its own last sum.
template <size_t count, typename At>
static inline void begin_rows(PackedRows to, size_t first, size_t size, Rounding* how, At at) {
  Vector lows[count], highs[count];
#pragma GCC unroll 4
  for (size_t r = 0; r < count; r++) lows[r] = highs[r] = broadcast(0.0f);
  float squares[count];
  sums_over<count>(size, squares, [&](size_t r, size_t column, Vector total) {
    const Vector x = at(r, column);
    lows[r] = minimum(lows[r], x);
    highs[r] = maximum(highs[r], x);
    return multiply_add(x, x, total);
  });
#pragma GCC unroll 4
  for (size_t r = 0; r < count; r++) {
    const Range range = {-largest(subtract(broadcast(0.0f), lows[r])), largest(highs[r])};
    how[r] = begin_row(range, squares[r], size, [&](size_t column) { return at(r, column); }, to.codes[first + r]);
  }
}

// Four vectors of a row, at(column) from `column` on, as bytes; zeros behind `size`.
enum : size_t { kColumnsAtOnce = 4 * kWidth };
template <typename At>
static inline void store_quantized(PackedRows to, size_t row, size_t column, size_t size, const Rounding& how, At at) {
  constexpr size_t line = elements_per_line(Precision::int8);
  char* p = to.data + column / line * to.stride + row * kLineBytes + column % line;
  Vector x[4];
#pragma GCC unroll 4
  for (size_t i = 0; i < 4; i++)
    x[i] = column + i * kWidth < size ? multiply(at(column + i * kWidth), broadcast(how.inverse)) : broadcast(0.0f);
  store_bytes(reinterpret_cast<uint8_t*>(p), x[0], x[1], x[2], x[3], how.zero);
}

static inline Vector smoothed(const float* smoothing, Vector x, size_t column) {
  return smoothing ? multiply(x, load(smoothing + column)) : x;
}

// In place: line i takes what lines 2 i and 2 i + 1 held, which have been read by then. (The call by value: norm.h.)
template <size_t count>
static inline void quantize_rows(QuantizeCall call, size_t first) {
  constexpr size_t line = elements_per_line(Precision::bf16);
  const auto at = [&](size_t r, size_t column) {
    const char* p = call.packed.data + column / line * call.packed.stride + (first + r) * kLineBytes;
    return smoothed(call.smoothing, load_bf16(reinterpret_cast<const uint16_t*>(p) + column % line), column);
  };
  Rounding how[count];
  begin_rows<count>(call.packed, first, call.size, how, at);
  for (size_t column = 0; column < call.size; column += kColumnsAtOnce)
#pragma GCC unroll 4
    for (size_t r = 0; r < count; r++)
      store_quantized(call.packed, first + r, column, call.size, how[r], [&](size_t c) { return at(r, c); });
}

static void quantize(const QuantizeCall& call) {
  size_t row = 0;
  for (; row + kRowsAtOnce <= call.rows; row += kRowsAtOnce) quantize_rows<kRowsAtOnce>(call, row);
  for (; row < call.rows; row++) quantize_rows<1>(call, row);
}
