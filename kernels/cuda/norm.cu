// norm(x + skip + bias): a block a row, the sums of which stay in shared memory as float32.
#include "operators.h"

namespace strizh::cuda {
namespace {

constexpr int kThreads = 256, kWarps = kThreads / 32;

// The sum over the block; `partial` has a place for every warp.
__device__ inline float block_sum(float x, float* partial) {
  x = warp_sum(x);
  __syncthreads();  // nobody still reads the sum before
  if (threadIdx.x % 32 == 0) partial[threadIdx.x / 32] = x;
  __syncthreads();
  float total = 0.0f;
  for (int warp = 0; warp < kWarps; ++warp) total += partial[warp];
  return total;
}

template <typename T>
__global__ void add_and_norm(int kind, float eps, int size, const T* x, const T* skip, const T* bias, const T* weight,
                             const T* shift, T* out) {
  auto* row = reinterpret_cast<float*>(shared_memory());  // [size], then a place for every warp
  float* partial = row + size;
  const int64_t at = int64_t{blockIdx.x} * size;
  float sum = 0.0f;
  for (int i = threadIdx.x; i < size; i += kThreads) {
    float y = to_float(x[at + i]);
    if (skip) y += to_float(skip[at + i]);
    if (bias) y += to_float(bias[i]);
    row[i] = y;
    sum += y;
  }
  const float mean = kind == 1 ? block_sum(sum, partial) / static_cast<float>(size) : 0.0f;
  float square = 0.0f;
  for (int i = threadIdx.x; i < size; i += kThreads) square += (row[i] - mean) * (row[i] - mean);
  const float inverse = 1.0f / sqrtf(block_sum(square, partial) / static_cast<float>(size) + eps);
  for (int i = threadIdx.x; i < size; i += kThreads) {
    const float y = (row[i] - mean) * inverse * to_float(weight[i]);
    out[at + i] = from_float<T>(shift ? y + to_float(shift[i]) : y);
  }
}

}  // namespace

void skip_norm(const SkipNorm& s, int64_t rows, void* out, Stream stream) {
  with_half(s.element, [&](auto zero) {
    using T = decltype(zero);
    launch(add_and_norm<T>, dim3(static_cast<unsigned>(rows)), dim3(kThreads), (s.size + kWarps) * sizeof(float), stream, s.kind,
           s.eps, static_cast<int>(s.size), static_cast<const T*>(s.x), static_cast<const T*>(s.skip),
           static_cast<const T*>(s.bias), static_cast<const T*>(s.weight), static_cast<const T*>(s.shift), static_cast<T*>(out));
  });
}

}  // namespace strizh::cuda
