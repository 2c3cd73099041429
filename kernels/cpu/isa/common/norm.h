// LayerNorm and RMSNorm of rows that are still in the cache, written as float rows, as packed rows, or both.

static inline Vector row_vector(const float* row, size_t column, size_t size) {
  return column + kWidth <= size ? load(row + column) : column < size ? load_first(row + column, size - column) : broadcast(0.0f);
}

struct Moments { float mean, scale; };

static inline Moments moments(const NormCall& call, const float* row) {
  if (call.norm == Norm::none) return {0.0f, 1.0f};
  const float size = static_cast<float>(call.size);
  float mean = 0.0f;
  if (call.norm == Norm::layer) {
    mean = sum_over(call.size, [&](size_t column, Vector total) { return add(total, row_vector(row, column, call.size)); }) / size;
  }
  const float squares = sum_over(call.size, [&](size_t column, Vector total) {
    Vector x = subtract(row_vector(row, column, call.size), broadcast(mean));
    if (column + kWidth > call.size) x = keep_between(x, 0, column < call.size ? call.size - column : 0, broadcast(0.0f));
    return multiply_add(x, x, total);
  });
  return {mean, 1.0f / __builtin_sqrtf(squares / size + call.eps)};
}

static inline Vector normalized(const NormCall& call, const float* row, Moments m, size_t column) {
  Vector x = row_vector(row, column, call.size);
  if (call.norm == Norm::none) return x;
  x = multiply(subtract(x, broadcast(m.mean)), broadcast(m.scale));
  const Vector weight = load(call.weight + column);
  return call.bias ? multiply_add(x, weight, load(call.bias + column)) : multiply(x, weight);
}

// The call by value: for all that the compiler knows, stores of vectors change what is behind a reference.
template <Precision precision>
static void normalize_rows(NormCall call) {
  const size_t padded_size = padded(call.size);
  for (size_t r = 0; r < call.rows; r++) {
    const float* row = call.in + r * call.in_stride;
    const Moments m = moments(call, row);
    const auto keep = [&](size_t column, Vector x) {
      if (call.out == nullptr || column >= call.size) return;
      float* out = call.out + r * call.out_stride + column;
      if (column + kWidth <= call.size) store(out, x);
      else store_first(out, x, call.size - column);
    };
    if constexpr (precision == Precision::int8) {
      // The range of 8-bit integers needs the whole row first: it is computed twice and stored nowhere.
      Rounding how;
      begin_rows<1>(call.packed, r, padded_size, &how, [&](size_t, size_t column) {
        return smoothed(call.smoothing, normalized(call, row, m, column), column);
      });
      for (size_t column = 0; column < padded_size; column += kColumnsAtOnce)
        store_quantized(call.packed, r, column, padded_size, how, [&](size_t c) {
          const Vector x = normalized(call, row, m, c);
          keep(c, x);
          return smoothed(call.smoothing, x, c);
        });
    } else {
      for (size_t column = 0; column < padded_size; column += kWidth) {
        const Vector x = normalized(call, row, m, column);
        if (call.packed.data) store_packed<precision>(call.packed, r, column, x);
        keep(column, x);
      }
    }
  }
}

static void normalize(const NormCall& call) {
  if (call.precision == Precision::fp32) normalize_rows<Precision::fp32>(call);
  else if (call.precision == Precision::int8 && call.packed.data) normalize_rows<Precision::int8>(call);
  else normalize_rows<Precision::bf16>(call);
}
