#include "ort_operators.h"

#include "batch.h"
#include "embeddings.h"
#include "encoder_layer.h"
#include "error.h"
#include "head.h"
#include "layer_shape.h"

namespace strizh::ort {

namespace {

const Words kActivations = {{"identity", 0}, {"gelu", 1}, {"gelu_tanh", 2}, {"silu", 3}, {"relu", 4}, {"tanh", 5}, {"sigmoid", 6}};
const Words kNorms = {{"layer_norm", 1}, {"rms_norm", 2}};
const Words kScalings = {{"none", 0}, {"linear", 1}, {"dynamic", 2}, {"ntk", 3}};
const Words kPoolings = {{"mean", 0}, {"cls", 1}, {"first_token_transform", 1}, {"max", 2}, {"last", 3},
                         {"mean_sqrt_len_tokens", 4}, {"weightedmean", 5}};
const Words kTokens = {{"cls", 1}, {"last", 3}};  // poolings that take one token
const std::vector<int> kTable = {kFloat, kBfloat16}, kPacked = {kFloat, kBfloat16, kInt8};
const Words kSumOrders = {{"chain", 0}, {"tiles", 1}};
const Words kPositions = {{"none", 0}, {"absolute", 1}, {"absolute_by_id", 2}};

// Products of 8-bit integers are among bfloat16 ones.
int32_t precision_of(const Tensor& weight) { return weight.element == kFloat ? 0 : 1; }

Batch batch_of(const Running& node, size_t index, int64_t tokens) {
  const Tensor offsets = node.input(index, "cu_seqlens", kInt32, 1);
  return Batch::checked(offsets.as<int32_t>(), offsets.size(), tokens);
}

Tensor rows_of(const Running& node, const char* name, int64_t columns) {
  Tensor rows = node.input(0, name, kFloat, 2);
  if (rows.shape[1] != columns)
    throw Error(std::string("input ") + name + " has " + std::to_string(rows.shape[1]) + " columns; expected " + std::to_string(columns));
  return rows;
}

// A packed weight of `columns` x `k`, both padded, and its bias; of the precision that `precision` says, or 8-bit.
StrizhLinear linear_at(const Making& node, size_t input, const char* name, int32_t precision, size_t columns, size_t k) {
  const Tensor weight = node.constant(input, name, kPacked), bias = node.constant(input + 1, name);
  const bool int8 = weight.element == kInt8;
  expect_size(weight, name, int8 ? columns / kPanelColumns * panel_bytes(lines_of(k, Precision::int8), Precision::int8) : columns * k);
  if (precision_of(weight) != precision) throw Error(std::string(name) + " has another element type than the layer's other weights");
  if (bias.data) expect_size(bias, name, columns);
  return {weight.data, bias.as<float>(), int8, nullptr};
}

StrizhNorm norm_at(const Making& node, size_t input, const char* name, size_t hidden) {
  const Tensor weight = node.constant(input, name), bias = node.constant(input + 1, name);
  if (weight.data == nullptr) return {0, 0.0f, nullptr, nullptr};
  expect_size(weight, name, padded(hidden));
  if (bias.data) expect_size(bias, name, padded(hidden));
  return {node.word("norm", kNorms), node.real("norm_eps"), weight.as<float>(), bias.as<float>()};
}

const float* vector_at(const Making& node, size_t input, const char* name, size_t size) {
  const Tensor vector = node.constant(input, name);
  if (vector.data) expect_size(vector, name, size);
  return vector.as<float>();
}

}  // namespace

Embeddings::Embeddings(const Making& node) {
  const Tensor word = node.constant(2, "word", kPacked), position = node.constant(3, "position", kTable);
  if (word.shape.size() != 2) throw Error("word is not a table [vocab_size, hidden_size] among the graph's initializers");
  const bool int8 = word.element == kInt8;
  spec_.precision = precision_of(int8 && position.data ? position : word);
  spec_.word_scale = vector_at(node, 4, "word_scale", static_cast<size_t>(word.shape[0]));
  if (int8 != (spec_.word_scale != nullptr)) throw Error("word_scale goes with a word table of 8-bit integers, and with no other");
  spec_.vocab_size = static_cast<int32_t>(word.shape[0]);
  spec_.hidden_size = static_cast<int32_t>(word.shape[1]);
  spec_.word = word.data;
  spec_.positions = node.word("positions", kPositions);
  spec_.position_offset = node.integer("position_offset");
  spec_.pad_token_id = node.integer("pad_token_id");
  spec_.max_length = node.integer("max_length");
  if (spec_.positions == 0) return;
  if (position.shape.size() != 2 || position.shape[1] != word.shape[1] || (!int8 && position.element != word.element))
    throw Error("position is not a table of the word table's type and width among the graph's initializers");
  spec_.position_rows = static_cast<int32_t>(position.shape[0]);
  spec_.position = position.data;
}

void Embeddings::run(const Running& node) const {
  const Tensor ids = node.input(0, "input_ids", kInt32, 1);
  const Batch batch = batch_of(node, 1, ids.size());
  embeddings(spec_, ids.as<int32_t>(), batch, node.output({ids.size(), spec_.hidden_size}));
}

EncoderLayer::EncoderLayer(const Making& node) {
  StrizhEncoderLayer& s = spec_;
  s.precision = precision_of(node.constant(2, "qkv", kPacked));
  s.hidden_size = node.integer("hidden_size");
  s.num_heads = node.integer("num_heads");
  s.num_kv_heads = node.integer("num_kv_heads");
  s.head_size = node.integer("head_size");
  s.intermediate_size = node.integer("intermediate_size");
  s.activation = node.word("activation", kActivations);
  s.gated_mlp = node.integer("gated_mlp");
  s.pre_norm = node.integer("pre_norm");
  s.causal = node.integer("causal");
  s.window = node.integer("window");
  s.rope_dim = node.integer("rope_dim");
  s.rope_scaling = node.word("rope_scaling", kScalings);
  s.rope_theta = static_cast<double>(node.real("rope_theta"));
  s.rope_factor = static_cast<double>(node.real("rope_factor"));
  s.trained_positions = node.integer("trained_positions");
  s.relative_buckets = node.integer("relative_buckets");
  s.relative_max_distance = node.integer("relative_max_distance");
  s.attention_scale = static_cast<double>(node.real("attention_scale"));
  if (node.has("sum_order")) s.sum_order = node.word("sum_order", kSumOrders);  // bundles made earlier do not say
  check_encoder_layer(s);  // sizes first: what follows multiplies them

  const LayerShape shape(s);
  const size_t columns = shape.units() * shape.width, context = shape.heads * shape.width;
  s.qkv = linear_at(node, 2, "qkv", s.precision, columns, shape.hidden_padded);
  s.output = linear_at(node, 4, "output", s.precision, shape.hidden_padded, context);
  s.up = linear_at(node, 6, "up", s.precision, shape.inner_padded * (s.gated_mlp ? 2 : 1), shape.hidden_padded);
  s.down = linear_at(node, 8, "down", s.precision, shape.hidden_padded, shape.inner_padded);
  s.attention_norm = norm_at(node, 10, "attention_norm", shape.hidden);
  s.mlp_norm = norm_at(node, 12, "mlp_norm", shape.hidden);
  s.head_norm_eps = node.real("norm_eps");
  s.q_norm = vector_at(node, 14, "q_norm", shape.width);
  s.k_norm = vector_at(node, 15, "k_norm", shape.width);
  s.relative_bias = vector_at(node, 16, "relative_bias", static_cast<size_t>(s.relative_buckets) * shape.heads);
  s.qkv.smoothing = vector_at(node, 17, "qkv_smoothing", shape.hidden_padded);
  s.output.smoothing = vector_at(node, 18, "output_smoothing", context);
  s.up.smoothing = vector_at(node, 19, "up_smoothing", shape.hidden_padded);
  s.down.smoothing = vector_at(node, 20, "down_smoothing", shape.inner_padded);
  check_encoder_layer(s);
}

void EncoderLayer::run(const Running& node) const {
  const Tensor hidden = rows_of(node, "hidden", spec_.hidden_size);
  const Batch batch = batch_of(node, 1, hidden.shape[0]);
  encoder_layer(spec_, batch, hidden.as<float>(), node.output(hidden.shape));
}

PooledEncoderLayer::PooledEncoderLayer(const Making& node) : layer_(node), pooling_(node.word("pooling", kTokens)) {}

void PooledEncoderLayer::run(const Running& node) const {
  const StrizhEncoderLayer& spec = layer_.spec();
  const Tensor hidden = rows_of(node, "hidden", spec.hidden_size);
  const Batch batch = batch_of(node, 1, hidden.shape[0]);
  const auto token = static_cast<strizh::Pooling>(pooling_);
  float* pooled = node.output({static_cast<int64_t>(batch.texts), hidden.shape[1]});
  if (!all_rows(node)) {
    if (node.outputs() > 1) node.output({0, hidden.shape[1]}, 1);
    return pooled_encoder_layer(spec, token, batch, hidden.as<float>(), pooled);
  }
  float* rows = node.output(hidden.shape, 1);
  encoder_layer(spec, batch, hidden.as<float>(), rows);
  pooling(token, static_cast<size_t>(spec.hidden_size), rows, batch, pooled);
}

bool PooledEncoderLayer::all_rows(const Running& node) const {
  if (node.outputs() < 2) return false;
  const Tensor wanted = node.optional(inputs.size() - 1);
  if (wanted.data == nullptr) return true;
  if (wanted.element != kInt32 || wanted.size() != 1) throw Error("input output_token_embeddings is not a single int32");
  return *wanted.as<int32_t>() != 0;
}

Norm::Norm(const Making& node) : hidden_size_(node.integer("hidden_size")) {
  if (hidden_size_ <= 0) throw Error("hidden_size is not positive");
  spec_ = norm_at(node, 1, "weight", static_cast<size_t>(hidden_size_));
  if (spec_.weight == nullptr) throw Error("weight is not an initializer of the graph; expected it there");
}

void Norm::run(const Running& node) const {
  const Tensor hidden = rows_of(node, "hidden", hidden_size_);
  norm(spec_, static_cast<size_t>(hidden_size_), hidden.as<float>(), static_cast<size_t>(hidden.shape[0]), node.output(hidden.shape));
}

Pooling::Pooling(const Making& node) : kind_(node.word("pooling", kPoolings)) {}

void Pooling::run(const Running& node) const {
  const Tensor hidden = node.input(0, "hidden", kFloat, 2);
  const Batch batch = batch_of(node, 1, hidden.shape[0]);
  float* out = node.output({static_cast<int64_t>(batch.texts), hidden.shape[1]});
  pooling(static_cast<strizh::Pooling>(kind_), static_cast<size_t>(hidden.shape[1]), hidden.as<float>(), batch, out);
}

Dense::Dense(const Making& node) {
  const Tensor weight = node.constant(1, "weight", kPacked), bias = node.constant(2, "bias");
  spec_.precision = precision_of(weight);
  spec_.in_features = node.integer("in_features");
  spec_.out_features = node.integer("out_features");
  spec_.activation = node.word("activation", kActivations);
  if (spec_.in_features <= 0 || spec_.out_features <= 0) throw Error("in_features or out_features is not positive");
  const size_t columns = padded(static_cast<size_t>(spec_.out_features)), k = padded(static_cast<size_t>(spec_.in_features));
  spec_.weights = linear_at(node, 1, "weight", spec_.precision, columns, k);
}

void Dense::run(const Running& node) const {
  const Tensor x = rows_of(node, "x", spec_.in_features);
  dense(spec_, x.as<float>(), static_cast<size_t>(x.shape[0]), node.output({x.shape[0], spec_.out_features}));
}

void Normalize::run(const Running& node) const {
  const Tensor x = node.input(0, "x", kFloat, 2);
  normalize(static_cast<size_t>(x.shape[1]), x.as<float>(), static_cast<size_t>(x.shape[0]), node.output(x.shape));
}

}  // namespace strizh::ort
