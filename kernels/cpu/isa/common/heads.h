// From the query/key/value product to what attention reads: per-head norm, rotary embedding and scale, then
//   q: packed rows, the A operand of q k^T;
//   k: panels of 32 keys, its B operand, by 16 x 16 transposes of 32-bit groups;
//   v: panels of 32 columns over groups of keys, the B operand of the second product.

// Row `row` of the call, normalised, rotated and scaled, given to `put(column, vector)` in two halves.
template <typename Put>
static inline void finish_row(const HeadCall& call, size_t row, Put put) {
  const float* in = call.in + row * call.in_stride;
  const size_t half = call.head_width / 2;
  float scale = call.scale;
  if (call.norm_weight) {
    const float squares = sum_over(call.head_width, [=](size_t c, Vector total) { return multiply_add(load(in + c), load(in + c), total); });
    scale /= __builtin_sqrtf(squares / static_cast<float>(call.head_size) + call.eps);
  }
  for (size_t c = 0; c < half; c += kWidth) {
    Vector a = multiply(load(in + c), broadcast(scale)), b = multiply(load(in + half + c), broadcast(scale));
    if (call.norm_weight) {
      a = multiply(a, load(call.norm_weight + c));
      b = multiply(b, load(call.norm_weight + half + c));
    }
    if (call.cosine) {
      const Vector cosine = load(call.cosine + row * half + c), sine = load(call.sine + row * half + c);
      const Vector turned = subtract(multiply(a, cosine), multiply(b, sine));
      b = multiply_add(a, sine, multiply(b, cosine));
      a = turned;
    }
    put(c, a);
    put(half + c, b);
  }
}

template <Precision precision, SumOrder order>
static void pack_query(const HeadCall& call) {
  const PackedRows to = {call.out, call.stride};
  for (size_t row = 0; row < call.rows; row++)
    finish_row(call, row, [=](size_t column, Vector x) { store_operand<precision, order>(to, row, column, x); });
}

template <Precision precision, SumOrder order>
static void pack_key(const HeadCall& call) {
  const size_t groups = call.head_width / elements_per_group(precision);
  alignas(64) uint32_t rows[16 * 16 * 16] = {};  // [16 columns of groups][16 keys][16 groups], for heads up to 256 wide
  const PackedRows to = {reinterpret_cast<char*>(rows), 16 * kLineBytes};
  for (size_t row = 0; row < call.rows;) {
    const size_t position = call.position + row, lane = position % 16;
    const size_t count = call.rows - row < 16 - lane ? call.rows - row : 16 - lane;
    for (size_t i = 0; i < count; i++)
      finish_row(call, row + i, [=](size_t column, Vector x) { store_operand<precision, order>(to, i, column, x); });
    uint32_t* panel = reinterpret_cast<uint32_t*>(call.out) + position / kPanelColumns * groups * kPanelColumns;
    for (size_t group = 0; group < groups; group += 16)
      store_transposed(rows + group * 16, panel + group * kPanelColumns + position % kPanelColumns, kPanelColumns, count);
    row += count;
  }
}

static inline float* value_row_fp32(const HeadCall& call, size_t position, size_t column) {
  return reinterpret_cast<float*>(call.out + column / kPanelColumns * call.stride) + position * kPanelColumns + column % kPanelColumns;
}

// Where operands are stored apart (kernels.h), four keys are the pairs (2, 0) and (3, 1), as four columns of probabilities are.
template <SumOrder order>
static inline uint16_t* value_row_bf16(const HeadCall& call, size_t position, size_t column) {
  size_t pair = position / 2, half = position % 2;
  if (kTakesOperandsApart && order == SumOrder::tiles) pair = position / 4 * 2 + position % 2, half = 1 - position / 2 % 2;
  return reinterpret_cast<uint16_t*>(call.out + column / kPanelColumns * call.stride) +
         (pair * kPanelColumns + column % kPanelColumns) * 2 + half;
}

// One row into its half of the pairs: another thread may be writing the other half.
template <SumOrder order>
static inline void put_value_row(const HeadCall& call, size_t position, const float* in) {
  for (size_t c = 0; c < call.head_width; c += kWidth) {
    uint16_t halves[kWidth], *to = value_row_bf16<order>(call, position, c);
    store_bf16(halves, in ? load(in + c) : broadcast(0.0f));
    for (size_t i = 0; i < kWidth; i++) to[2 * i] = halves[i];
  }
}

template <SumOrder order>
static void pack_value_bf16(const HeadCall& call, size_t tail) {
  constexpr bool apart = kTakesOperandsApart && order == SumOrder::tiles;
  constexpr size_t together = apart ? 4 : 2;
  const auto row_at = [&](size_t row) { return call.in + row * call.in_stride; };
  const auto put_pair = [&](size_t first, size_t low, size_t high) {
    for (size_t c = 0; c < call.head_width; c += kWidth)
      store_pairs(reinterpret_cast<uint32_t*>(value_row_bf16<order>(call, call.position + first, c)), load(row_at(low) + c), load(row_at(high) + c));
  };
  size_t row = 0;
  for (; row < call.rows && (call.position + row) % together; row++) put_value_row<order>(call, call.position + row, row_at(row));
  for (; row + together <= call.rows; row += together) {
    if (apart) put_pair(row + 2, row + 2, row), put_pair(row + 3, row + 3, row + 1);
    else put_pair(row, row, row + 1);
  }
  for (; row < call.rows; row++) put_value_row<order>(call, call.position + row, row_at(row));
  for (size_t i = 0; i < tail; i++) put_value_row<order>(call, call.text_rows + i, nullptr);
}

static void pack_value_fp32(const HeadCall& call, size_t tail) {
  for (size_t c = 0; c < call.head_width; c += kWidth) {
    for (size_t row = 0; row < call.rows; row++)
      store(value_row_fp32(call, call.position + row, c), load(call.in + row * call.in_stride + c));
    for (size_t i = 0; i < tail; i++) store(value_row_fp32(call, call.text_rows + i, c), broadcast(0.0f));
  }
}

static void query(const HeadCall& call) {
  if (call.precision == Precision::fp32) pack_query<Precision::fp32, SumOrder::chain>(call);
  else if (call.order == SumOrder::chain) pack_query<Precision::bf16, SumOrder::chain>(call);
  else pack_query<Precision::bf16, SumOrder::tiles>(call);
}

static void key(const HeadCall& call) {
  if (call.precision == Precision::fp32) pack_key<Precision::fp32, SumOrder::chain>(call);
  else if (call.order == SumOrder::chain) pack_key<Precision::bf16, SumOrder::chain>(call);
  else pack_key<Precision::bf16, SumOrder::tiles>(call);
}

// Whoever writes a text's last row also clears the rest of its last panel: zero probability times zero.
static void value(const HeadCall& call) {
  const bool last = call.position + call.rows == call.text_rows;
  const size_t tail = last ? padded(call.text_rows) - call.text_rows : 0;
  if (call.precision == Precision::fp32) pack_value_fp32(call, tail);
  else if (call.order == SumOrder::chain) pack_value_bf16<SumOrder::chain>(call, tail);
  else pack_value_bf16<SumOrder::tiles>(call, tail);
}
