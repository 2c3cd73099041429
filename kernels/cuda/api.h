// The plain C interface of libstrizh_cuda: packed operators on device pointers, with no ONNX Runtime in between.
//
// A batch is packed: `tokens` rows one after the other, and cu_seqlens[batch + 1] says where each text begins. Every pointer
// but a struct's own is a device pointer of 16 byte alignment; work is queued on `stream` and nothing waits. Every call
// gives 0, or 1 and one sentence in `error`.
#pragma once
#include <stdint.h>

#if defined(_WIN32)
#define STRIZH_API __declspec(dllexport)
#else
#define STRIZH_API __attribute__((visibility("default")))
#endif

#ifdef __cplusplus
extern "C" {
#endif

// The architectures that the library has machine code for, "800,900" for compute capability 8.0 and 9.0.
STRIZH_API const char* strizh_cuda_architectures(void);

// Element types: 0 float16, 1 bfloat16, 2 float32 (where said).

typedef struct {
  int32_t element;
  int32_t num_heads, num_kv_heads, head_size;  // head_size at most 256
  int32_t rope_dim;  // rotated numbers of a head; 0: none
  int32_t window;    // tokens visible on each side; -1 is all
  int32_t causal;
  int32_t reach;     // distances that relative_bias tells apart
  float scale, norm_eps;
} StrizhPackedAttention;

typedef struct {
  const void* qkv;             // [tokens, (num_heads + 2 num_kv_heads) * head_size]
  const void* bias;            // [those columns] or null
  const float *cos, *sin;      // [tokens, rope_dim / 2] or null
  const float *q_norm, *k_norm;  // RMS norm of each head, [head_size], or null
  const float* relative_bias;  // [2 reach + 1, num_heads], row key - query + reach, or null
} StrizhAttentionInputs;

// Numbers of `element` that one token takes in the workspace.
STRIZH_API int64_t strizh_cuda_attention_columns(const StrizhPackedAttention*);
// out [tokens, num_heads * head_size]; workspace [tokens, strizh_cuda_attention_columns].
STRIZH_API int strizh_cuda_attention(const StrizhPackedAttention*, const StrizhAttentionInputs*, const int32_t* cu_seqlens,
                                     int64_t tokens, int64_t batch, void* workspace, void* out, void* stream, char* error,
                                     int64_t error_size);

typedef struct {
  int32_t dim, scaling, trained_positions;  // scaling: 0 none, 1 linear, 2 dynamic, 3 ntk
  double theta, factor;
} StrizhRotary;

// cos and sin of every token's angles, float32 [tokens, dim / 2]; dynamic scaling takes each text's own length.
STRIZH_API int strizh_cuda_rotary(const StrizhRotary*, const int32_t* cu_seqlens, int64_t tokens, int64_t batch, float* cos,
                                  float* sin, void* stream, char* error, int64_t error_size);

// out = norm(x + skip + bias) over rows of `size`, statistics in float32; kind: 1 layer_norm, 2 rms_norm. `skip`, `bias` and
// `shift` may be null; `out` may be x or skip.
STRIZH_API int strizh_cuda_skip_norm(int32_t element, int32_t kind, float eps, int64_t size, const void* x, const void* skip,
                                     const void* bias, const void* weight, const void* shift, int64_t rows, void* out,
                                     void* stream, char* error, int64_t error_size);

// float32 [batch, size] of hidden [tokens, size] of any element type. kind: 0 mean, 1 cls (and first_token_transform),
// 2 max, 3 last, 4 mean_sqrt_len_tokens, 5 weightedmean. A text without tokens gives zeros.
STRIZH_API int strizh_cuda_pooling(int32_t kind, int32_t element, int64_t size, const void* hidden, const int32_t* cu_seqlens,
                                   int64_t batch, float* out, void* stream, char* error, int64_t error_size);

#ifdef __cplusplus
}
#endif
