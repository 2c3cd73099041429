// Rotary angles, a row a token. A thread for each pair of numbers; frequencies in double, angles in float.
#include "operators.h"
#include "texts.h"

namespace strizh::cuda {
namespace {

constexpr int kThreads = 128;

__global__ void angles(StrizhRotary s, const int32_t* cu_seqlens, int tokens, int batch, float* cos, float* sin) {
  const int half = s.dim / 2;
  const int64_t index = int64_t{blockIdx.x} * kThreads + threadIdx.x;
  const int token = static_cast<int>(index / half), i = static_cast<int>(index % half);
  if (token >= tokens) return;
  const int text = last_text(batch, token, [&](int t) { return cu_seqlens[t]; });
  const int length = cu_seqlens[text + 1] - cu_seqlens[text];
  double theta = s.theta, divisor = 1.0;
  if (s.scaling == 1) divisor = s.factor;
  if (s.scaling == 2 && length > s.trained_positions) {
    const double ratio = static_cast<double>(length) / s.trained_positions;
    theta *= pow(s.factor * ratio - (s.factor - 1.0), s.dim / (s.dim - 2.0));
  }
  if (s.scaling == 3) {
    theta *= s.factor;
    divisor = pow(s.factor, 2.0 / s.dim);
  }
  const double frequency = pow(theta, -2.0 * i / s.dim) / divisor;
  const float angle = static_cast<float>((token - cu_seqlens[text]) * frequency);
  cos[index] = cosf(angle);
  sin[index] = sinf(angle);
}

}  // namespace

void rotary(const StrizhRotary& s, const int32_t* cu_seqlens, int64_t tokens, int64_t batch, float* cos, float* sin, Stream stream) {
  const int64_t pairs = tokens * (s.dim / 2);
  launch(angles, dim3(static_cast<unsigned>((pairs + kThreads - 1) / kThreads)), dim3(kThreads), 0, stream, s, cu_seqlens,
         static_cast<int>(tokens), static_cast<int>(batch), cos, sin);
}

}  // namespace strizh::cuda
