// The plain C interface of libstrizh_cpu. ONNX Runtime enters by RegisterCustomOps (ort.cpp); this one is for tests and
// for programs without ONNX Runtime. Every operator gives 0, or 1 and one sentence in `error`.
//
// A batch is packed: `tokens` rows one after the other, and cu_seqlens[batch + 1] says where each text begins.
// Weights are in the layouts of layout.h; vectors beside them are padded with zeros to a multiple of 32.
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

typedef struct {
  const void* panels;
  const float* bias;  // or null
  int32_t int8;       // 1: panels of 8-bit integers, whatever the operator's precision
  const float* smoothing;  // of an int8 product: what each column of its input is multiplied by, or null
} StrizhLinear;

typedef struct {
  int32_t precision;  // of position, and of word where it has no scales: 0 float32, 1 bfloat16
  int32_t hidden_size, vocab_size, position_rows;
  int32_t positions;  // 0 none, 1 absolute, 2 absolute_by_id
  int32_t position_offset, pad_token_id;
  int32_t max_length;  // tokens of one text; 0 is no limit
  const void *word, *position;
  const float* word_scale;  // of a word table of 8-bit integers, for each of its rows; or null
} StrizhEmbeddings;

typedef struct {
  int32_t kind;  // 0 none, 1 layer_norm, 2 rms_norm
  float eps;
  const float *weight, *bias;
} StrizhNorm;

typedef struct {
  int32_t precision;  // of attention and of the products that are not int8: 0 float32, 1 bfloat16
  int32_t hidden_size, num_heads, num_kv_heads, head_size, intermediate_size;
  int32_t activation;  // 0 identity, 1 gelu, 2 gelu_tanh, 3 silu, 4 relu
  int32_t gated_mlp, pre_norm, causal;
  int32_t window;  // tokens visible on each side; -1 is all
  int32_t rope_dim, rope_scaling, trained_positions;  // dim 0: none. Scaling: 0 none, 1 linear, 2 dynamic, 3 ntk
  int32_t relative_buckets, relative_max_distance;
  int32_t sum_order;  // of bfloat16 products and attention: 0 chain, but tiles where a product is int8; 1 tiles (kernels.h)
  double rope_theta, rope_factor, attention_scale;
  StrizhLinear qkv, output, up, down;  // up: gate and up panels in turn where gated
  StrizhNorm attention_norm, mlp_norm;
  float head_norm_eps;
  const float *q_norm, *k_norm;  // [head_width] or null
  const float* relative_bias;    // [relative_buckets, num_heads] or null
} StrizhEncoderLayer;

typedef struct {
  int32_t precision, in_features, out_features;
  int32_t activation;  // also 5 tanh, 6 sigmoid
  StrizhLinear weights;
} StrizhDense;

// Everything is float32 but ids and offsets. `out` may not overlap the input.
STRIZH_API int strizh_embeddings(const StrizhEmbeddings*, const int32_t* input_ids, int64_t tokens,
                                 const int32_t* cu_seqlens, int64_t batch, float* out, char* error, int64_t error_size);
STRIZH_API int strizh_encoder_layer(const StrizhEncoderLayer*, const float* hidden, int64_t tokens,
                                    const int32_t* cu_seqlens, int64_t batch, float* out, char* error, int64_t error_size);
// What strizh_pooling of `kind` 1 or 3 would take of strizh_encoder_layer's rows, [batch, hidden_size], in less time.
STRIZH_API int strizh_pooled_encoder_layer(const StrizhEncoderLayer*, int32_t kind, const float* hidden, int64_t tokens,
                                           const int32_t* cu_seqlens, int64_t batch, float* out, char* error, int64_t error_size);
STRIZH_API int strizh_norm(const StrizhNorm*, int64_t size, const float* in, int64_t rows, float* out, char* error,
                           int64_t error_size);
// kind: 0 mean, 1 cls (and first_token_transform), 2 max, 3 last, 4 mean_sqrt_len_tokens, 5 weightedmean
STRIZH_API int strizh_pooling(int32_t kind, int64_t size, const float* hidden, int64_t tokens, const int32_t* cu_seqlens,
                              int64_t batch, float* out, char* error, int64_t error_size);
STRIZH_API int strizh_dense(const StrizhDense*, const float* in, int64_t rows, float* out, char* error, int64_t error_size);
STRIZH_API int strizh_normalize(int64_t size, const float* in, int64_t rows, float* out, char* error, int64_t error_size);

// Threads of the calls that follow; 0 is all that the process may use.
STRIZH_API void strizh_set_threads(int64_t count);
STRIZH_API int64_t strizh_threads(void);

// The instruction set in use (null and the reason in `error` if STRIZH_ISA names none that runs), all that run here.
STRIZH_API const char* strizh_isa(char* error, int64_t error_size);
STRIZH_API int strizh_use_isa(const char* name, char* error, int64_t error_size);
STRIZH_API int strizh_isas(char* names, int64_t size);

#ifdef __cplusplus
}
#endif
