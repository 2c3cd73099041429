// Attention among the tokens of each text, without a mask and without padding: tensor core products with an online softmax.
//
// A block takes 64 queries of one head and goes through that text's keys, 64 at a time, two blocks of them in shared memory.
// A warp has 16 queries, whose scores, probabilities and sums never leave its registers. A query that sees nothing of a block
// of keys, by window or causality, does not read it. Tri Dao, FlashAttention-2 (arXiv:2307.08691), has the arithmetic.
#include <algorithm>

#include "operators.h"
#include "texts.h"

namespace strizh::cuda {
namespace {

constexpr int kQueries = 64, kKeys = 64, kWarps = 4, kThreads = 32 * kWarps;
constexpr int kSpare = 8;  // numbers behind each row of shared memory, so that eight rows lie in different banks
constexpr float kLog2e = 1.4426950408889634f;

struct Shape {
  int batch, num_heads, num_kv_heads, head_size, window, causal, reach;
  float scale;
};

template <int Width> constexpr int kStride = Width + kSpare;
template <int Width> constexpr size_t kTileNumbers = size_t{kKeys} * kStride<Width>;

// 64 rows of a head, from row `first` of the text, into shared memory; rows beyond the text are zeros.
template <typename T, int Width>
__device__ void fetch(T* tile, const T* text, int64_t row_stride, int first, int length) {
  constexpr int kPieces = Width / 8;  // of 16 bytes
  for (int i = threadIdx.x; i < kKeys * kPieces; i += kThreads) {
    const int row = i / kPieces, piece = i % kPieces;
    const bool real = first + row < length;
    copy_async(tile + row * kStride<Width> + 8 * piece, text + (real ? first + row : 0) * row_stride + 8 * piece, real);
  }
}

// What one thread keeps of its warp's 16 queries: the two rows lane / 4 and lane / 4 + 8.
template <int Width>
struct Running {
  float sums[Width / 8][4] = {};
  float top[2] = {-INFINITY, -INFINITY}, total[2] = {};
};

template <typename T, int Width>
__device__ void score(float (&scores)[kKeys / 8][4], const uint32_t (&queries)[Width / 16][4], const T* keys, int lane) {
  for (auto& tile : scores)
    for (float& x : tile) x = 0.0f;
#pragma unroll
  for (int k = 0; k < Width / 16; ++k)
#pragma unroll
    for (int n = 0; n < kKeys / 16; ++n) {
      // Matrices: keys 0-7 and 8-15 of these 16, each with the first and the second 8 of these 16 numbers.
      const T* row = keys + (16 * n + lane % 8 + (lane / 16) * 8) * kStride<Width> + 16 * k + (lane / 8 % 2) * 8;
      uint32_t b[4];
      load_matrices<false>(b, row);
      multiply<T>(scores[2 * n], queries[k], b[0], b[1]);
      multiply<T>(scores[2 * n + 1], queries[k], b[2], b[3]);
    }
}

// Scores to powers of two of what they are above the row's greatest so far; sums so far shrink to the new greatest.
template <int Width>
__device__ void soften(Running<Width>& running, float (&scores)[kKeys / 8][4], const Shape& s, const float* bias, int query,
                       int first_key, int length, int lane) {
#pragma unroll
  for (int n = 0; n < kKeys / 8; ++n)
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const int row = query + (i / 2) * 8, key = first_key + 8 * n + 2 * (lane % 4) + i % 2, distance = key - row;
      const bool seen = key < length && (s.window < 0 || (distance <= s.window && -distance <= s.window)) && !(s.causal && distance > 0);
      float x = scores[n][i] * s.scale;
      if (bias && seen) x += bias[(min(max(distance, -s.reach), s.reach) + s.reach) * s.num_heads];
      scores[n][i] = seen ? x * kLog2e : -INFINITY;
    }
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    float top = running.top[half];
#pragma unroll
    for (int n = 0; n < kKeys / 8; ++n) top = fmaxf(top, fmaxf(scores[n][2 * half], scores[n][2 * half + 1]));
    top = fmaxf(top, exchange(top, 1));  // four lanes share a row
    top = fmaxf(top, exchange(top, 2));
    const float base = top == -INFINITY ? 0.0f : top;  // a row that has seen no key yet
    const float shrink = exp2f(running.top[half] - base);
    running.top[half] = top;
    running.total[half] *= shrink;
#pragma unroll
    for (int n = 0; n < kKeys / 8; ++n)
#pragma unroll
      for (int i = 2 * half; i < 2 * half + 2; ++i) {
        scores[n][i] = exp2f(scores[n][i] - base);
        running.total[half] += scores[n][i];
      }
#pragma unroll
    for (int n = 0; n < Width / 8; ++n) {
      running.sums[n][2 * half] *= shrink;
      running.sums[n][2 * half + 1] *= shrink;
    }
  }
}

template <typename T, int Width>
__device__ void mix(Running<Width>& running, const float (&scores)[kKeys / 8][4], const T* values, int lane) {
#pragma unroll
  for (int k = 0; k < kKeys / 16; ++k) {
    const float(&low)[4] = scores[2 * k];
    const float(&high)[4] = scores[2 * k + 1];
    const uint32_t a[4] = {pair<T>(low[0], low[1]), pair<T>(low[2], low[3]), pair<T>(high[0], high[1]), pair<T>(high[2], high[3])};
#pragma unroll
    for (int n = 0; n < Width / 16; ++n) {
      const T* row = values + (16 * k + lane % 8 + (lane / 8 % 2) * 8) * kStride<Width> + 16 * n + (lane / 16) * 8;
      uint32_t b[4];
      load_matrices<true>(b, row);
      multiply<T>(running.sums[2 * n], a, b[0], b[1]);
      multiply<T>(running.sums[2 * n + 1], a, b[2], b[3]);
    }
  }
}

template <typename T, int Width>
__global__ void __launch_bounds__(kThreads) attend_tile(Shape s, const float* relative_bias, const int32_t* cu_seqlens, const T* q,
                                                        const T* k, const T* v, T* out) {
  // Text t has the blocks from cu_seqlens[t] / 64 + t on: never fewer than it needs, and those it does not need stop here.
  const int text = last_text(s.batch, static_cast<int>(blockIdx.x), [&](int t) { return cu_seqlens[t] / kQueries + t; });
  const int start = cu_seqlens[text], length = cu_seqlens[text + 1] - start;
  const int first_query = (static_cast<int>(blockIdx.x) - start / kQueries - text) * kQueries;
  if (first_query >= length) return;

  const int head = blockIdx.y, kv_head = head / (s.num_heads / s.num_kv_heads);
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  const int64_t q_stride = int64_t{s.num_heads} * Width, kv_stride = int64_t{s.num_kv_heads} * Width;
  const T* q_text = q + start * q_stride + int64_t{head} * Width;
  const T* k_text = k + start * kv_stride + int64_t{kv_head} * Width;
  const T* v_text = v + start * kv_stride + int64_t{kv_head} * Width;
  T* tiles = reinterpret_cast<T*>(shared_memory());  // keys and values in turn, twice
  auto keys_at = [&](int turn) { return tiles + (turn % 2) * 2 * kTileNumbers<Width>; };
  auto values_at = [&](int turn) { return keys_at(turn) + kTileNumbers<Width>; };

  fetch<T, Width>(tiles, q_text, q_stride, first_query, length);
  commit_copies();
  wait_for_copies<0>();
  __syncthreads();
  uint32_t queries[Width / 16][4];
#pragma unroll
  for (int i = 0; i < Width / 16; ++i)
    load_matrices<false>(queries[i], tiles + (16 * warp + lane % 16) * kStride<Width> + 16 * i + (lane / 16) * 8);
  __syncthreads();

  const int last_query = min(first_query + kQueries, length) - 1;
  const int low = s.window < 0 ? 0 : max(first_query - s.window, 0) / kKeys;
  int end = length;
  if (s.window >= 0) end = min(end, last_query + s.window + 1);
  if (s.causal) end = min(end, last_query + 1);
  const int high = (end + kKeys - 1) / kKeys;
  const float* bias = relative_bias ? relative_bias + head : nullptr;

  fetch<T, Width>(keys_at(0), k_text, kv_stride, low * kKeys, length);
  fetch<T, Width>(values_at(0), v_text, kv_stride, low * kKeys, length);
  commit_copies();
  Running<Width> running;
  for (int block = low; block < high; ++block) {
    const int turn = block - low;
    if (block + 1 < high) {
      fetch<T, Width>(keys_at(turn + 1), k_text, kv_stride, (block + 1) * kKeys, length);
      fetch<T, Width>(values_at(turn + 1), v_text, kv_stride, (block + 1) * kKeys, length);
    }
    commit_copies();
    wait_for_copies<1>();
    __syncthreads();
    float scores[kKeys / 8][4];
    score<T, Width>(scores, queries, keys_at(turn), lane);
    soften<Width>(running, scores, s, bias, first_query + 16 * warp + lane / 4, block * kKeys, length, lane);
    mix<T, Width>(running, scores, values_at(turn), lane);
    __syncthreads();  // the next turn's copies go where these keys lie
  }

#pragma unroll
  for (int half = 0; half < 2; ++half) {
    const int row = first_query + 16 * warp + lane / 4 + 8 * half;
    float total = running.total[half];
    total += exchange(total, 1);
    total += exchange(total, 2);
    if (row >= length) continue;
    T* to = out + ((int64_t{start} + row) * s.num_heads + head) * s.head_size;
#pragma unroll
    for (int n = 0; n < Width / 8; ++n)
      for (int i = 0; i < 2; ++i) {
        const int column = 8 * n + 2 * (lane % 4) + i;
        if (column < s.head_size) to[column] = from_float<T>(running.sums[n][2 * half + i] / total);
      }
  }
}

template <typename T, int Width>
void run(const Shape& shape, const float* relative_bias, const int32_t* cu_seqlens, int64_t tokens, const Packed& in, void* out,
         Stream stream) {
  const dim3 grid(static_cast<unsigned>(tokens / kQueries + shape.batch), static_cast<unsigned>(shape.num_heads));
  launch(attend_tile<T, Width>, grid, dim3(kThreads), 4 * kTileNumbers<Width> * sizeof(T), stream, shape, relative_bias, cu_seqlens,
         static_cast<const T*>(in.q), static_cast<const T*>(in.k), static_cast<const T*>(in.v), static_cast<T*>(out));
}

}  // namespace

int head_width(int head_size) { return head_size <= 32 ? 32 : head_size <= 64 ? 64 : head_size <= 128 ? 128 : 256; }

void attend(const StrizhPackedAttention& s, const float* relative_bias, const int32_t* cu_seqlens, int64_t tokens, int64_t batch,
            const Packed& in, void* out, Stream stream) {
  const Shape shape{static_cast<int>(batch), s.num_heads, s.num_kv_heads, s.head_size, s.window, s.causal, s.reach, s.scale};
  with_half(s.element, [&](auto zero) {
    using T = decltype(zero);
    auto* go = in.width == 32 ? run<T, 32> : in.width == 64 ? run<T, 64> : in.width == 128 ? run<T, 128> : run<T, 256>;
    go(shape, relative_bias, cu_seqlens, tokens, in, out, stream);
  });
}

}  // namespace strizh::cuda
