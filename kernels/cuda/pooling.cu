// One vector a text. A block takes 32 columns of a text; eight warps share its rows, and their sums are added in order.
#include "operators.h"

namespace strizh::cuda {
namespace {

constexpr int kColumns = 32, kRows = 8;
enum Kind { kMean = 0, kCls = 1, kMax = 2, kLast = 3, kMeanSqrt = 4, kWeighted = 5 };

template <typename T>
__global__ void pool_text(int kind, int size, const T* hidden, const int32_t* cu_seqlens, float* out) {
  auto* partial = reinterpret_cast<float*>(shared_memory());  // [kRows][kColumns]
  const int lane = threadIdx.x % 32, group = threadIdx.x / 32, column = blockIdx.x * kColumns + lane, text = blockIdx.y;
  const int start = cu_seqlens[text], length = cu_seqlens[text + 1] - start;
  const int first = kind == kLast ? length - 1 : 0, end = kind == kCls ? (length > 1 ? 1 : length) : length;
  const float lowest = -3.402823466e38f;
  float found = kind == kMax ? lowest : 0.0f;
  if (column < size && length > 0)
    for (int row = first + group; row < end; row += kRows) {
      const float x = to_float(hidden[int64_t{start + row} * size + column]);
      found = kind == kMax ? fmaxf(found, x) : found + (kind == kWeighted ? static_cast<float>(row + 1) * x : x);
    }
  partial[group * kColumns + lane] = found;
  __syncthreads();
  if (group != 0 || column >= size) return;
  for (int other = 1; other < kRows; ++other) {
    const float x = partial[other * kColumns + lane];
    found = kind == kMax ? fmaxf(found, x) : found + x;
  }
  const auto count = static_cast<float>(length);
  if (kind == kMean) found /= count;
  if (kind == kMeanSqrt) found /= sqrtf(count);
  if (kind == kWeighted) found /= count * (count + 1.0f) / 2.0f;
  out[int64_t{text} * size + column] = length > 0 ? found : 0.0f;
}

}  // namespace

void pool(int kind, int element, int64_t size, const void* hidden, const int32_t* cu_seqlens, int64_t batch, float* out, Stream stream) {
  const dim3 grid(static_cast<unsigned>((size + kColumns - 1) / kColumns), static_cast<unsigned>(batch));
  auto run = [&](auto zero) {
    using T = decltype(zero);
    launch(pool_text<T>, grid, dim3(kColumns * kRows), kColumns * kRows * sizeof(float), stream, kind, static_cast<int>(size),
           static_cast<const T*>(hidden), cu_seqlens, out);
  };
  if (element == 2) run(0.0f);
  else with_half(element, run);
}

}  // namespace strizh::cuda
