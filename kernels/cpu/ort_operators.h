// The operators of domain `strizh` as ONNX Runtime nodes: which inputs and attributes they have, and how these become
// the descriptions of api.h. Attributes have the names and words of strizh.export.spec.
#pragma once
#include <array>

#include "api.h"
#include "ort_node.h"

namespace strizh::ort {

template <size_t Count>
constexpr std::array<int, Count + 1> followed_by(const int (&types)[Count], int last) {
  std::array<int, Count + 1> all{};
  for (size_t i = 0; i < Count; i++) all[i] = types[i];
  all[Count] = last;
  return all;
}

// Each: `name`; the element types of `inputs`, of which the first `required` must be there, and of `outputs`, of which the first
// must; a constructor that reads and checks the node; and run().

class Embeddings {
 public:
  static constexpr const char* name = "Embeddings";
  static constexpr int inputs[] = {kInt32, kInt32, kUndefined, kUndefined, kFloat};  // input_ids, cu_seqlens, word, position, word_scale
  static constexpr size_t required = 3;
  static constexpr int outputs[] = {kFloat};
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
  static constexpr int outputs[] = {kFloat};
  explicit EncoderLayer(const Making&);
  void run(const Running&) const;
  const StrizhEncoderLayer& spec() const { return spec_; }

 private:
  StrizhEncoderLayer spec_{};
};

// A layer of whose rows one a text is pooled, [batch, hidden]. The second output, all rows, may be absent; where the last input,
// output_token_embeddings, is 0, it has no row, and only what the first needs is computed.
class PooledEncoderLayer {
 public:
  static constexpr const char* name = "PooledEncoderLayer";
  static constexpr auto inputs = followed_by(EncoderLayer::inputs, kInt32);
  static constexpr size_t required = EncoderLayer::required;
  static constexpr int outputs[] = {kFloat, kFloat};
  explicit PooledEncoderLayer(const Making&);
  void run(const Running&) const;

 private:
  bool all_rows(const Running&) const;

  EncoderLayer layer_;
  int32_t pooling_;
};

class Norm {
 public:
  static constexpr const char* name = "Norm";
  static constexpr int inputs[] = {kFloat, kFloat, kFloat};  // hidden, weight, bias
  static constexpr size_t required = 2;
  static constexpr int outputs[] = {kFloat};
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
  static constexpr int outputs[] = {kFloat};
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
  static constexpr int outputs[] = {kFloat};
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
  static constexpr int outputs[] = {kFloat};
  explicit Normalize(const Making&) {}
  void run(const Running&) const;
};

}  // namespace strizh::ort
