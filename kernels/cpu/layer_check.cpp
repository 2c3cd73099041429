// What a layer's description must hold.
#include <string>

#include "encoder_layer.h"
#include "error.h"
#include "kernels.h"

namespace strizh {

namespace {

void require(bool holds, const std::string& what) {
  if (!holds) throw Error(what);
}

}  // namespace

void check_encoder_layer(const StrizhEncoderLayer& l) {
  const auto text = [](int64_t x) { return std::to_string(x); };
  require(l.precision == 0 || l.precision == 1, "precision is " + text(l.precision) + "; expected 0 (float32) or 1 (bfloat16)");
  for (const StrizhLinear* linear : {&l.qkv, &l.output, &l.up, &l.down}) {
    require(l.precision == 1 || !linear->int8, "a product is int8 in a float32 layer; expected one in a bfloat16 layer");
    require(linear->int8 || !linear->smoothing, "a product that is not int8 has smoothing; expected none");
  }
  require(l.sum_order == 0 || l.sum_order == 1, "sum_order is " + text(l.sum_order) + "; expected 0 (chain) or 1 (tiles)");
  require(l.precision == 1 || l.sum_order == 0, "sum_order is 1 (tiles) in a float32 layer; expected 0 (chain)");
  require(l.hidden_size > 0 && l.intermediate_size > 0 && l.head_size > 0 && l.num_heads > 0, "a size is not positive");
  require(l.num_kv_heads > 0 && l.num_heads % l.num_kv_heads == 0,
          "num_heads is " + text(l.num_heads) + " and num_kv_heads " + text(l.num_kv_heads) + "; expected a multiple of it");
  require(padded(static_cast<size_t>(l.head_size)) <= kMaxHeadWidth, "head_size is " + text(l.head_size) + "; expected at most " + text(kMaxHeadWidth));
  require(l.activation >= 0 && l.activation <= 4, "activation is " + text(l.activation) + "; expected 0 to 4");
  require(l.rope_dim >= 0 && l.rope_dim <= l.head_size && l.rope_dim % 2 == 0,
          "rope_dim is " + text(l.rope_dim) + "; expected an even number up to head_size, " + text(l.head_size));
  require(l.rope_scaling >= 0 && l.rope_scaling <= 3, "rope_scaling is " + text(l.rope_scaling) + "; expected 0 to 3");
  require(l.rope_scaling != 2 || (l.trained_positions > 0 && l.rope_dim > 2), "dynamic rope_scaling needs trained_positions and a rope_dim above 2");
  require(l.relative_bias == nullptr || (l.relative_buckets >= 4 && l.relative_max_distance > 0),
          "relative_bias needs relative_buckets of at least 4 and relative_max_distance");
  for (const StrizhNorm* norm : {&l.attention_norm, &l.mlp_norm})
    require(norm->kind == 0 || (norm->kind >= 1 && norm->kind <= 2 && norm->weight), "a norm has no weight or an unknown kind");
}

}  // namespace strizh
