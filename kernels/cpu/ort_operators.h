// The operators of domain `strizh` as ONNX Runtime nodes: which inputs and attributes they have, and how these become
// the descriptions of api.h. Attributes have the names and words of strizh.export.spec.
#pragma once
#include "api.h"
#include "ort_node.h"

namespace strizh::ort {

// Each: `name`; `inputs`, how many, those from `optional_from` on may be absent and those in `any_type` be bfloat16 too;
// a constructor that reads and checks the node; and run().

class Embeddings {
 public:
  static constexpr const char* name = "Embeddings";
  static constexpr int inputs[] = {kInt32, kInt32, kUndefined, kUndefined, kFloat};  // input_ids, cu_seqlens, word, position, word_scale
  static constexpr size_t required = 3;
  explicit Embeddings(const Making&);
  void run(const Running&) const;

 private:
  StrizhEmbeddings spec_{};
};

class EncoderLayer {
 public:
  static constexpr const char* name = "EncoderLayer";
  // hidden, cu_seqlens, then weight and bias of qkv, output, up and down, weight and bias of attention_norm and
  // mlp_norm, q_norm, k_norm, relative_bias, and the smoothing of qkv, output, up and down
  static constexpr int inputs[] = {kFloat, kInt32, kUndefined, kFloat, kUndefined, kFloat, kUndefined, kFloat, kUndefined,
                                   kFloat, kFloat, kFloat, kFloat, kFloat, kFloat, kFloat, kFloat,
                                   kFloat, kFloat, kFloat, kFloat};
  static constexpr size_t required = 3;
  explicit EncoderLayer(const Making&);
  void run(const Running&) const;

 private:
  StrizhEncoderLayer spec_{};
};

class Norm {
 public:
  static constexpr const char* name = "Norm";
  static constexpr int inputs[] = {kFloat, kFloat, kFloat};  // hidden, weight, bias
  static constexpr size_t required = 2;
  explicit Norm(const Making&);
  void run(const Running&) const;

 private:
  StrizhNorm spec_{};
  int32_t hidden_size_;
};

class Pooling {
 public:
  static constexpr const char* name = "Pooling";
  static constexpr int inputs[] = {kFloat, kInt32};  // hidden, cu_seqlens
  static constexpr size_t required = 2;
  explicit Pooling(const Making&);
  void run(const Running&) const;

 private:
  int32_t kind_;
};

class Dense {
 public:
  static constexpr const char* name = "Dense";
  static constexpr int inputs[] = {kFloat, kUndefined, kFloat};  // x, weight, bias
  static constexpr size_t required = 2;
  explicit Dense(const Making&);
  void run(const Running&) const;

 private:
  StrizhDense spec_{};
};

class Normalize {
 public:
  static constexpr const char* name = "Normalize";
  static constexpr int inputs[] = {kFloat};
  static constexpr size_t required = 1;
  explicit Normalize(const Making&) {}
  void run(const Running&) const;
};

}  // namespace strizh::ort
