// The border of the library: sizes are checked, no exception leaves.
#include "api.h"

#include <cstdio>
#include <exception>
#include <limits>

#include "operators.h"

namespace strizh::cuda {
namespace {

template <typename Work>
int guarded(char* error, int64_t error_size, Work work) {
  try {
    work();
    return 0;
  } catch (const std::exception& reason) {
    if (error_size > 0) std::snprintf(error, static_cast<size_t>(error_size), "%s", reason.what());
    return 1;
  }
}

void expect(bool right, const char* sentence) {
  if (!right) throw Error(sentence);
}

void check_batch(int64_t tokens, int64_t batch) {
  const int64_t most = std::numeric_limits<int32_t>::max();
  expect(tokens >= 0 && batch >= 0 && tokens <= most && batch < most, "tokens or batch is no count that fits 31 bits");
}

void check_attention(const StrizhPackedAttention& s, const StrizhAttentionInputs& in) {
  expect(s.num_heads > 0 && s.num_kv_heads > 0 && s.num_heads % s.num_kv_heads == 0, "num_heads is no multiple of num_kv_heads");
  expect(s.head_size > 0 && s.head_size <= 256, "head_size is not within 1 to 256");
  expect(s.rope_dim >= 0 && s.rope_dim <= s.head_size && s.rope_dim % 2 == 0, "rope_dim is odd or beyond head_size");
  expect((s.rope_dim > 0) == (in.cos != nullptr) && (in.cos != nullptr) == (in.sin != nullptr), "cos and sin do not go with rope_dim");
  expect(s.reach >= 0 && (in.relative_bias != nullptr || s.reach == 0), "reach is not that of relative_bias");
}

Packed parts_of(const StrizhPackedAttention& s, int64_t tokens, void* workspace) {
  const int width = head_width(s.head_size);
  auto* halves = static_cast<uint16_t*>(workspace);
  uint16_t* k = halves + tokens * s.num_heads * width;
  return {halves, k, k + tokens * s.num_kv_heads * width, width};
}

}  // namespace
}  // namespace strizh::cuda

using namespace strizh::cuda;

#define STRIZH_TEXT_OF(...) #__VA_ARGS__
#define STRIZH_TEXT(...) STRIZH_TEXT_OF(__VA_ARGS__)

extern "C" const char* strizh_cuda_architectures() {
#ifdef __CUDA_ARCH_LIST__
  return STRIZH_TEXT(__CUDA_ARCH_LIST__);
#else
  return "";  // emulated
#endif
}

extern "C" int64_t strizh_cuda_attention_columns(const StrizhPackedAttention* s) {
  return int64_t{s->num_heads + 2 * s->num_kv_heads} * head_width(s->head_size);
}

extern "C" int strizh_cuda_attention(const StrizhPackedAttention* s, const StrizhAttentionInputs* in, const int32_t* cu_seqlens,
                                     int64_t tokens, int64_t batch, void* workspace, void* out, void* stream, char* error,
                                     int64_t error_size) {
  return guarded(error, error_size, [&] {
    check_batch(tokens, batch);
    check_attention(*s, *in);
    const Packed packed = parts_of(*s, tokens, workspace);
    pack_qkv(*s, *in, tokens, packed, static_cast<Stream>(stream));
    attend(*s, in->relative_bias, cu_seqlens, tokens, batch, packed, out, static_cast<Stream>(stream));
  });
}

extern "C" int strizh_cuda_rotary(const StrizhRotary* s, const int32_t* cu_seqlens, int64_t tokens, int64_t batch, float* cos,
                                  float* sin, void* stream, char* error, int64_t error_size) {
  return guarded(error, error_size, [&] {
    check_batch(tokens, batch);
    expect(s->dim > 2 && s->dim % 2 == 0 && s->scaling >= 0 && s->scaling <= 3, "dim is odd, or scaling is not 0 to 3");
    expect(s->scaling != 2 || s->trained_positions > 0, "dynamic scaling without trained_positions");
    rotary(*s, cu_seqlens, tokens, batch, cos, sin, static_cast<Stream>(stream));
  });
}

extern "C" int strizh_cuda_skip_norm(int32_t element, int32_t kind, float eps, int64_t size, const void* x, const void* skip,
                                     const void* bias, const void* weight, const void* shift, int64_t rows, void* out,
                                     void* stream, char* error, int64_t error_size) {
  return guarded(error, error_size, [&] {
    check_batch(rows, 0);
    expect(kind == 1 || kind == 2, "kind is not 1 (layer_norm) or 2 (rms_norm)");
    expect(size > 0 && size <= 16384, "size is not within 1 to 16384");
    skip_norm({element, kind, eps, size, x, skip, bias, weight, shift}, rows, out, static_cast<Stream>(stream));
  });
}

extern "C" int strizh_cuda_pooling(int32_t kind, int32_t element, int64_t size, const void* hidden, const int32_t* cu_seqlens,
                                   int64_t batch, float* out, void* stream, char* error, int64_t error_size) {
  return guarded(error, error_size, [&] {
    check_batch(0, batch);
    expect(kind >= 0 && kind <= 5, "kind is not 0 to 5");
    expect(size > 0 && size <= 65536 && batch <= 65535, "size is not within 1 to 65536, or there are more than 65535 texts");
    pool(kind, element, size, hidden, cu_seqlens, batch, out, static_cast<Stream>(stream));
  });
}
