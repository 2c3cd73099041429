// Functions of one vector, and packed rows element by element.
static_assert(kPanelColumns % kWidth == 0, "a panel is a whole number of vectors");

// For each of `rows` rows: the sum of what `add_to(row, column, totals)` adds to a vector of totals for columns [0, size), kWidth
// of them at a time and `step` in one pass of the loop. A row has sixteen totals, whatever a vector holds, and one order of adding
// them: every instruction set rounds alike.
template <size_t rows, size_t step = 16, typename AddTo>
static inline void sums_over(size_t size, float* sums, AddTo add_to) {
  constexpr size_t parts = 16 / kWidth;
  Vector totals[rows][parts];
#pragma GCC unroll 4
  for (size_t r = 0; r < rows; r++)
#pragma GCC unroll 4
    for (size_t i = 0; i < parts; i++) totals[r][i] = broadcast(0.0f);
  for (size_t column = 0; column < size; column += step)
#pragma GCC unroll 8
    for (size_t i = 0; i < step / kWidth; i++)
#pragma GCC unroll 4
      for (size_t r = 0; r < rows; r++) totals[r][i % parts] = add_to(r, column + i * kWidth, totals[r][i % parts]);
#pragma GCC unroll 4
  for (size_t r = 0; r < rows; r++) {
#pragma GCC unroll 2
    for (size_t half = parts / 2; half > 0; half /= 2)
#pragma GCC unroll 2
      for (size_t i = 0; i < half; i++) totals[r][i] = add(totals[r][i], totals[r][i + half]);
    sums[r] = sum(totals[r][0]);
  }
}

// The same of one row.
template <size_t step = 16, typename AddTo>
static inline float sum_over(size_t size, AddTo add_to) {
  float total;
  sums_over<1, step>(size, &total, [&](size_t, size_t column, Vector totals) { return add_to(column, totals); });
  return total;
}

// Rows that are rounded to bytes side by side: their sums must find room in registers.
enum : size_t { kRowsAtOnce = kWidth == 16 ? 4 : 2 };

// 2^x for x <= 127: Taylor's polynomial of 2^f on |f| <= 1/2 refitted by minimax, relative error 2e-7.
static inline Vector exp2(Vector x) {
  x = maximum(x, broadcast(-200.0f));
  const Vector n = nearest_integer(x), f = subtract(x, n);
  Vector p = broadcast(1.5403530393381609e-4f);
  p = multiply_add(p, f, broadcast(1.3333558146428443e-3f));
  p = multiply_add(p, f, broadcast(9.6181291076284772e-3f));
  p = multiply_add(p, f, broadcast(5.5504108664821580e-2f));
  p = multiply_add(p, f, broadcast(2.4022650695910071e-1f));
  p = multiply_add(p, f, broadcast(6.9314718055994531e-1f));
  p = multiply_add(p, f, broadcast(1.0f));
  return times_power_of_two(p, n);
}

static inline Vector exp(Vector x) { return exp2(multiply(minimum(x, broadcast(88.0f)), broadcast(1.4426950408889634f))); }

static inline Vector sigmoid(Vector x) {
  const Vector one = broadcast(1.0f);
  return divide(one, add(one, exp(subtract(broadcast(0.0f), x))));
}

// x Phi(x) = max(x, 0) - |x| Phi(-|x|), and Phi(-t) = exp(-t^2 / 2) R(t) with -R a polynomial (fitted to
// -erfcx(t / sqrt 2) / 2 on [0, 5.6], where t exp(-t^2 / 2) weighs the error): no division, absolute error 2e-7.
static inline Vector gelu(Vector x) {
  const Vector t = magnitude(x), u = minimum(t, broadcast(5.6f));
  Vector r = broadcast(-5.533207502e-07f);
  r = multiply_add(r, u, broadcast(1.494085922e-05f));
  r = multiply_add(r, u, broadcast(-1.788960768e-04f));
  r = multiply_add(r, u, broadcast(1.269885891e-03f));
  r = multiply_add(r, u, broadcast(-6.068252967e-03f));
  r = multiply_add(r, u, broadcast(2.120398585e-02f));
  r = multiply_add(r, u, broadcast(-5.792663326e-02f));
  r = multiply_add(r, u, broadcast(1.304889373e-01f));
  r = multiply_add(r, u, broadcast(-2.492035482e-01f));
  r = multiply_add(r, u, broadcast(3.988147463e-01f));
  r = multiply_add(r, u, broadcast(-4.999928583e-01f));
  const Vector gauss = exp2(multiply(multiply(t, t), broadcast(-0.72134752044448170f)));
  return multiply_add(multiply(t, gauss), r, maximum(x, broadcast(0.0f)));
}

static inline Vector gelu_tanh(Vector x) {  // x sigmoid(2 sqrt(2 / pi) (x + 0.044715 x^3))
  const Vector inner = multiply_add(multiply(x, x), broadcast(0.044715f), broadcast(1.0f));
  return multiply(x, sigmoid(multiply(multiply(x, inner), broadcast(1.5957691216057308f))));
}

// x Phi(x) where the result is rounded to eight bits, at half the instructions: Phi(x) - 1/2 as an odd polynomial on [-4.125, 4.125],
// 1/2 at its end (minimax, x weighs the error): absolute error 8e-5, which bf16 itself makes from 0.04 on. NaN stays NaN: a
// maximum gives its second argument then.
static inline Vector gelu_for_bf16(Vector x) {
  const Vector above = maximum(broadcast(-4.125f), x), u = minimum(above, broadcast(4.125f)), square = multiply(u, u);
  Vector p = broadcast(-9.510010557e-10f);
  p = multiply_add(p, square, broadcast(8.263384643e-08f));
  p = multiply_add(p, square, broadcast(-3.122610451e-06f));
  p = multiply_add(p, square, broadcast(6.803474389e-05f));
  p = multiply_add(p, square, broadcast(-9.590643458e-04f));
  p = multiply_add(p, square, broadcast(9.330849163e-03f));
  p = multiply_add(p, square, broadcast(-6.558724493e-02f));
  p = multiply_add(p, square, broadcast(3.985012472e-01f));
  return multiply(above, multiply_add(p, u, broadcast(0.5f)));
}

template <Activation kind, Precision result>
static inline Vector activate(Vector x) {
  if constexpr (kind == Activation::gelu && result == Precision::bf16) return gelu_for_bf16(x);
  if constexpr (kind == Activation::gelu) return gelu(x);
  if constexpr (kind == Activation::gelu_tanh) return gelu_tanh(x);
  if constexpr (kind == Activation::silu) return multiply(x, sigmoid(x));
  if constexpr (kind == Activation::relu) return maximum(x, broadcast(0.0f));
  if constexpr (kind == Activation::sigmoid) return sigmoid(x);
  if constexpr (kind == Activation::tanh) {
    const Vector two = broadcast(2.0f);
    return multiply_add(two, sigmoid(multiply(two, x)), broadcast(-1.0f));
  }
  return x;
}

// Elements column ... column + kWidth - 1 of a packed row.
template <Precision precision>
static inline void store_packed(PackedRows to, size_t row, size_t column, Vector x) {
  constexpr size_t line = elements_per_line(precision);
  char* p = to.data + column / line * to.stride + row * kLineBytes + column % line * element_bytes(precision);
  if constexpr (precision == Precision::fp32) store(reinterpret_cast<float*>(p), x);
  else store_bf16(reinterpret_cast<uint16_t*>(p), x);
}

// The same of rows that attention multiplies, as its product takes them. (A type that is not known yet: only some instruction
// sets have store_bf16_apart.)
template <Precision precision, SumOrder order, typename Values>
static inline void store_operand(PackedRows to, size_t row, size_t column, Values x) {
  if constexpr (kTakesOperandsApart && precision == Precision::bf16 && order == SumOrder::tiles) {
    constexpr size_t line = elements_per_line(precision);
    char* p = to.data + column / line * to.stride + row * kLineBytes + column % line * element_bytes(precision);
    store_bf16_apart(reinterpret_cast<uint16_t*>(p), x);
  } else {
    store_packed<precision>(to, row, column, x);
  }
}
