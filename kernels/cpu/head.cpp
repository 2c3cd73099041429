#include "head.h"

#include <algorithm>
#include <cmath>
#include <string>

#include "error.h"
#include "isa.h"
#include "memory.h"
#include "team.h"

namespace strizh {

namespace {

constexpr size_t kDenseRows = 96;

// Adds rows, oldest first, so that a text's sum does not depend on who computes it.
void pool_text(Pooling kind, size_t size, const float* rows, size_t length, float* out) {
  std::fill(out, out + size, 0.0f);
  if (length == 0) return;
  if (kind == Pooling::cls || kind == Pooling::last) {
    const float* row = kind == Pooling::cls ? rows : rows + (length - 1) * size;
    std::copy(row, row + size, out);
    return;
  }
  if (kind == Pooling::max) std::copy(rows, rows + size, out);
  double weights = 0;
  for (size_t r = 0; r < length; r++) {
    const float* row = rows + r * size;
    const float weight = kind == Pooling::weightedmean ? static_cast<float>(r + 1) : 1.0f;
    weights += weight;
    if (kind == Pooling::max) for (size_t c = 0; c < size; c++) out[c] = std::max(out[c], row[c]);
    else for (size_t c = 0; c < size; c++) out[c] += weight * row[c];
  }
  if (kind == Pooling::max) return;
  const float scale = static_cast<float>(1 / (kind == Pooling::mean_sqrt_len_tokens ? std::sqrt(weights) : weights));
  for (size_t c = 0; c < size; c++) out[c] *= scale;
}

// Throws unless first <= value <= last.
void expect(const std::string& name, int32_t value, int32_t first, int32_t last) {
  if (value < first || value > last)
    throw Error(name + " is " + std::to_string(value) + "; expected " + std::to_string(first) + " to " + std::to_string(last));
}

}  // namespace

void norm(const StrizhNorm& n, size_t size, const float* in, size_t rows, float* out) {
  expect("Norm: kind", n.kind, 1, 2);
  const Kernels& isa = kernels();
  run_team(threads(), [&](const Member& me) {
    const size_t first = share(rows, me.index, me.count), last = share(rows, me.index + 1, me.count);
    isa.norm({static_cast<Norm>(n.kind), n.weight, n.bias, n.eps, in + first * size, size, last - first, size,
              out + first * size, size, {}, Precision::fp32, nullptr});
  });
}

void pooling(Pooling kind, size_t size, const float* hidden, const Batch& batch, float* out) {
  expect("Pooling: kind", static_cast<int32_t>(kind), 0, 5);
  run_team(threads(), [&](const Member& me) {
    const size_t last = share(batch.texts, me.index + 1, me.count);
    for (size_t text = share(batch.texts, me.index, me.count); text < last; text++)
      pool_text(kind, size, hidden + batch.begin(text) * size, batch.length(text), out + text * size);
  });
}

void dense(const StrizhDense& d, const float* in, size_t rows, float* out) {
  expect("Dense: precision", d.precision, 0, 1);
  expect("Dense: activation", d.activation, 0, 6);
  expect("Dense: in_features", d.in_features, 1, INT32_MAX);
  expect("Dense: out_features", d.out_features, 1, INT32_MAX);
  const Precision precision = d.weights.int8 ? Precision::int8 : static_cast<Precision>(d.precision);
  const size_t from = static_cast<size_t>(d.in_features), to = static_cast<size_t>(d.out_features);
  const size_t lines = lines_of(padded(from), precision), stride = (kDenseRows + 32) * kLineBytes;
  Scratch scratch;
  char* packed = scratch.reserve(lines * stride + kDenseRows * (padded(to) * sizeof(float) + sizeof(RowCodes)));
  float* sums = reinterpret_cast<float*>(packed + lines * stride);
  const PackedRows a = {packed, stride, reinterpret_cast<RowCodes*>(sums + kDenseRows * padded(to))};
  const Kernels& isa = kernels();
  for (size_t first = 0; first < rows; first += kDenseRows) {
    const size_t count = std::min(kDenseRows, rows - first), panels = padded(to) / kPanelColumns;
    isa.norm({Norm::none, nullptr, nullptr, 0.0f, in + first * from, from, count, from, nullptr, 0, a, precision,
              d.weights.smoothing});
    run_team(threads(), [&](const Member& me) {
      const Products products(isa);
      const size_t begin = share(panels, me.index, me.count), end = share(panels, me.index + 1, me.count);
      isa.linear({{precision, static_cast<const char*>(d.weights.panels), d.weights.bias, lines}, a, count,
                  begin, end, end, Epilogue::store, static_cast<Activation>(d.activation), sums + begin * kPanelColumns, padded(to),
                  {}});
    });
    for (size_t row = 0; row < count; row++)
      std::copy(sums + row * padded(to), sums + row * padded(to) + to, out + (first + row) * to);
  }
}

void normalize(size_t size, const float* in, size_t rows, float* out) {
  for (size_t r = 0; r < rows; r++) {
    double squares = 0;
    for (size_t c = 0; c < size; c++) squares += static_cast<double>(in[r * size + c]) * in[r * size + c];
    const float scale = static_cast<float>(1 / std::max(std::sqrt(squares), 1e-12));
    for (size_t c = 0; c < size; c++) out[r * size + c] = in[r * size + c] * scale;
  }
}

}  // namespace strizh
