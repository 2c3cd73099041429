// Attention of up to kAttendRows queries of one text and head, with an online softmax: keys in blocks of kKeyBlock,
// counted from the start of the text, so that a query's sums do not depend on the queries beside it. What a query does
// not see has probability exactly 0 and leaves every sum as it was.

struct Softmax { float largest[kAttendRows + kWidth], total[kAttendRows]; };  // of each query so far; whole vectors are read

struct Span { size_t begin, end; };  // of keys

static inline Span seen_keys(const AttendCall& call, size_t query) {
  const size_t begin = call.window < query ? query - call.window : 0;
  size_t end = call.causal ? query + 1 : call.keys;
  if (call.window < call.keys && query + call.window + 1 < end) end = query + call.window + 1;
  return {begin, end};
}

static inline size_t first_block(const AttendCall& call, size_t query) { return seen_keys(call, query).begin / kKeyBlock * kKeyBlock; }

static inline size_t clamp(size_t x, size_t low, size_t high) { return x < low ? low : x > high ? high : x; }

// Adds the bias to the scores of one query against keys [block, block + width) and hides what it does not see; gives the
// largest of them and `largest_before`.
static inline float finish_scores(const AttendCall& call, float* scores, size_t query, size_t block, size_t width, float largest_before) {
  const Span seen = seen_keys(call, query);
  const size_t begin = clamp(seen.begin, block, block + width) - block, end = clamp(seen.end, block, block + width) - block;
  Vector top = broadcast(largest_before);
  if (call.bias == nullptr && begin == 0 && end == width) {
    for (size_t k = 0; k < width; k += kWidth) top = maximum(top, load(scores + k));
    return largest(top);
  }
  const Vector hidden = broadcast(-1e38f);
  const float* bias = call.bias ? call.bias + block - query : nullptr;
  for (size_t k = 0; k < width; k += kWidth) {
    Vector s = load(scores + k);
    if (bias) s = add(s, load(bias + k));
    if (k < begin || k + kWidth > end)
      s = keep_between(s, clamp(begin, k, k + kWidth) - k, clamp(end, k, k + kWidth) - k, hidden);
    top = maximum(top, s);
    store(scores + k, s);
  }
  return largest(top);
}

// Scores to probabilities, relative to the largest; gives their sum.
template <Precision precision, SumOrder order>
static inline float exponentiate(const float* scores, size_t width, float peak, PackedRows to, size_t row) {
  return sum_over<kPanelColumns>(width, [&](size_t k, Vector total) {
    const Vector p = exp2(subtract(load(scores + k), broadcast(peak)));
    store_operand<precision, order>(to, row, k, p);
    return add(total, p);
  });
}

// Of queries and keys, or of probabilities and values.
template <Precision precision, SumOrder order>
static inline void attention_product(size_t rows, const char* a, size_t a_stride, const char* b, size_t lines, float* c,
                                     size_t c_stride, bool accumulate) {
  constexpr SumOrder as_stored = kTakesOperandsApart && order == SumOrder::tiles ? SumOrder::tiles_of_operands_apart : order;
  product_tile<precision>(rows, a, a_stride, b, lines, c, c_stride, accumulate, as_stored, Fetch{});
}

template <Precision precision, SumOrder order>
static void attend_block(const AttendCall& call, size_t first, size_t rows, size_t block, Softmax& state, float* sums) {
  alignas(64) float scores[kTileRows * kKeyBlock];
  alignas(64) char probabilities[kTileRows * kKeyBlock * kGroupBytes];
  constexpr size_t line = elements_per_line(precision);
  // Only the panels that some query of this tile sees.
  const size_t block_end = block + kKeyBlock < padded(call.keys) ? block + kKeyBlock : padded(call.keys);
  const size_t begin = clamp(seen_keys(call, first).begin / kPanelColumns * kPanelColumns, block, block_end);
  const size_t end = clamp(padded(seen_keys(call, first + rows - 1).end), begin, block_end), width = end - begin;
  if (width == 0) return;

  const size_t row = first - call.first_query, key_bytes = call.head_width / elements_per_group(precision) * 128;
  const char* k = call.k + begin / kPanelColumns * key_bytes;
  for (size_t c = 0; c < width; c += kPanelColumns, k += key_bytes)
    attention_product<precision, order>(rows, call.q.data + row * kLineBytes, call.q.stride, k, call.head_width / line, scores + c,
                                        kKeyBlock, false);

  alignas(64) float peaks[kTileRows + kWidth], factors[kTileRows + kWidth];
  for (size_t r = 0; r < rows; r++)
    peaks[r] = finish_scores(call, scores + r * kKeyBlock, first + r, begin, width, state.largest[row + r]);
  const bool begins = block == first_block(call, first);
  if (!begins)
    for (size_t r = 0; r < rows; r += kWidth) store(factors + r, exp2(subtract(load(state.largest + row + r), load(peaks + r))));
  const PackedRows to = {probabilities, kTileRows * kLineBytes};
  for (size_t r = 0; r < rows; r++) {
    const float total = exponentiate<precision, order>(scores + r * kKeyBlock, width, peaks[r], to, r);
    state.largest[row + r] = peaks[r];
    state.total[row + r] = begins ? total : state.total[row + r] * factors[r] + total;
    if (begins || factors[r] == 1.0f) continue;
    for (size_t c = 0; c < call.head_width; c += kWidth) {
      float* sum = sums + (row + r) * call.head_width + c;
      store(sum, multiply(load(sum), broadcast(factors[r])));
    }
  }
  const char* v = call.v + begin / elements_per_group(precision) * kPanelColumns * kGroupBytes;
  for (size_t c = 0; c < call.head_width; c += kPanelColumns, v += call.v_stride)
    attention_product<precision, order>(rows, probabilities, to.stride, v, width / line, sums + row * call.head_width + c,
                                        call.head_width, !begins);
}

template <Precision precision, SumOrder order>
static void attend_rows(const AttendCall& call) {
  alignas(64) float sums[kAttendRows * kMaxHeadWidth];
  Softmax state;
  for (size_t i = 0; i < call.rows; i++) state.largest[i] = -1e30f;

  const size_t last = seen_keys(call, call.first_query + call.rows - 1).end;
  for (size_t block = first_block(call, call.first_query); block < last; block += kKeyBlock)
    for (size_t tile = 0, first = 0; first < call.rows; tile++) {
      const size_t end = tile_edge(call.rows, tile + 1);
      attend_block<precision, order>(call, call.first_query + first, end - first, block, state, sums);
      first = end;
    }

  for (size_t row = 0; row < call.rows; row++) {
    const Vector inverse = broadcast(1.0f / state.total[row]);
    for (size_t c = 0; c < call.head_width; c += kWidth)
      store_packed<precision>(call.out, row, c, multiply(load(sums + row * call.head_width + c), inverse));
  }
}

static void attend(const AttendCall& call) {
  if (call.precision == Precision::fp32) attend_rows<Precision::fp32, SumOrder::chain>(call);
  else if (call.order == SumOrder::chain) attend_rows<Precision::bf16, SumOrder::chain>(call);
  else attend_rows<Precision::bf16, SumOrder::tiles>(call);
}
