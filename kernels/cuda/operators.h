// The operators behind the C interface; they throw Error.
#pragma once
#include "api.h"
#include "device.h"

namespace strizh::cuda {

// q, k and v of a batch, [tokens, heads, width] each, with zeros from head_size to `width`.
struct Packed {
  void *q, *k, *v;
  int width;
};

// Heads are stored in the next of 32, 64, 128 and 256 numbers.
int head_width(int head_size);

void pack_qkv(const StrizhPackedAttention&, const StrizhAttentionInputs&, int64_t tokens, const Packed&, Stream);
void attend(const StrizhPackedAttention&, const float* relative_bias, const int32_t* cu_seqlens, int64_t tokens, int64_t batch,
            const Packed&, void* out, Stream);
void rotary(const StrizhRotary&, const int32_t* cu_seqlens, int64_t tokens, int64_t batch, float* cos, float* sin, Stream);
void pool(int kind, int element, int64_t size, const void* hidden, const int32_t* cu_seqlens, int64_t batch, float* out, Stream);

struct SkipNorm {
  int element, kind;
  float eps;
  int64_t size;
  const void *x, *skip, *bias, *weight, *shift;
};
void skip_norm(const SkipNorm&, int64_t rows, void* out, Stream);

// Calls run(T{}) with the element type that `element` numbers.
template <typename Run>
void with_half(int element, Run run) {
  if (element == 0) return run(Float16{});
  if (element == 1) return run(Bfloat16{});
  throw Error("element is " + std::to_string(element) + "; expected 0 (float16) or 1 (bfloat16)");
}

}  // namespace strizh::cuda
