// Before attention: bias, norm and rotation of queries and keys, and heads widened with zeros. A warp for each head of a token.
#include "operators.h"

namespace strizh::cuda {
namespace {

constexpr int kWarps = 8;

struct Sizes {
  int tokens, num_heads, num_kv_heads, head_size, width, half;  // half: rope_dim / 2
  float eps;
};

template <typename T>
__global__ void pack(Sizes s, const T* qkv, const T* bias, const float* cos, const float* sin, const float* q_norm,
                     const float* k_norm, T* q, T* k, T* v) {
  const int heads = s.num_heads + 2 * s.num_kv_heads;
  const int64_t unit = int64_t{blockIdx.x} * kWarps + threadIdx.x / 32;
  const int token = static_cast<int>(unit / heads), head = static_cast<int>(unit % heads), lane = threadIdx.x % 32;
  if (token >= s.tokens) return;
  const bool is_q = head < s.num_heads, is_k = !is_q && head < s.num_heads + s.num_kv_heads;
  const T* from = qkv + (int64_t{token} * heads + head) * s.head_size;
  const T* shift = bias ? bias + int64_t{head} * s.head_size : nullptr;
  auto number = [&](int i) { return to_float(from[i]) + (shift ? to_float(shift[i]) : 0.0f); };

  const float* norm = is_q ? q_norm : is_k ? k_norm : nullptr;
  float inverse = 1.0f;
  if (norm) {
    float square = 0.0f;
    for (int i = lane; i < s.head_size; i += 32) square += number(i) * number(i);
    inverse = 1.0f / sqrtf(warp_sum(square) / static_cast<float>(s.head_size) + s.eps);
  }
  auto normed = [&](int i) { return norm ? number(i) * inverse * norm[i] : number(i); };

  const int own = is_q ? head : is_k ? head - s.num_heads : head - s.num_heads - s.num_kv_heads;
  T* to = (is_q ? q : is_k ? k : v) + (int64_t{token} * (is_q ? s.num_heads : s.num_kv_heads) + own) * s.width;
  const int rotated = is_q || is_k ? 2 * s.half : 0;
  for (int i = lane; i < s.width; i += 32) {
    float x = i < s.head_size ? normed(i) : 0.0f;
    if (i < rotated) {
      const int at = i % s.half;
      const float c = cos[int64_t{token} * s.half + at], d = sin[int64_t{token} * s.half + at];
      x = i < s.half ? x * c - normed(i + s.half) * d : x * c + normed(i - s.half) * d;
    }
    to[i] = from_float<T>(x);
  }
}

}  // namespace

void pack_qkv(const StrizhPackedAttention& s, const StrizhAttentionInputs& in, int64_t tokens, const Packed& to, Stream stream) {
  const Sizes sizes{static_cast<int>(tokens), s.num_heads, s.num_kv_heads, s.head_size, to.width, s.rope_dim / 2, s.norm_eps};
  const int64_t units = tokens * (s.num_heads + 2 * s.num_kv_heads);
  const auto blocks = static_cast<unsigned>((units + kWarps - 1) / kWarps);
  with_half(s.element, [&](auto zero) {
    using T = decltype(zero);
    launch(pack<T>, dim3(blocks), dim3(32 * kWarps), 0, stream, sizes, static_cast<const T*>(in.qkv), static_cast<const T*>(in.bias),
           in.cos, in.sin, in.q_norm, in.k_norm, static_cast<T*>(to.q), static_cast<T*>(to.k), static_cast<T*>(to.v));
  });
}

}  // namespace strizh::cuda
