#include "layer_stages.h"

#include <algorithm>

namespace strizh {

LayerStages::LayerStages(const StrizhEncoderLayer& layer, const LayerShape& shape, const LayerTables& tables, const LayerRows& rows,
                         const LayerMemory& memory, const Kernels& isa, const float* hidden, float* out)
    : layer_(layer), shape_(shape), tables_(tables), rows_(rows), memory_(memory), isa_(isa), hidden_(hidden), out_(out) {}

void LayerStages::load(const Block& b, size_t begin, size_t end) const {
  rows_.for_each_run(b.first + begin, b.first + end, [&](size_t row, size_t rows, size_t token, size_t) {
    NormCall call = norm_call(layer_.attention_norm, layer_.pre_norm, hidden_ + token * shape_.hidden, shape_.hidden, rows);
    pack_for(layer_.qkv, from_row(b.input, row - b.first), call);
    isa_.norm(call);
  });
}

void LayerStages::begin_residual(const Block& b, size_t begin, size_t end) const {
  rows_.for_each_run(b.first + begin, b.first + end, [&](size_t row, size_t rows, size_t token, size_t) {
    NormCall copy = norm_call(layer_.attention_norm, false, hidden_ + token * shape_.hidden, shape_.hidden, rows);
    copy.out = b.residual + (row - b.first) * shape_.hidden_padded;
    copy.out_stride = shape_.hidden_padded;
    isa_.norm(copy);
  });
}

void LayerStages::project(const Block& b, float* sums, Piece heads) const {
  const size_t panels = shape_.head_panels();
  for (size_t unit = heads.begin; unit < heads.end; unit++) {
    LinearCall call = linear_call(layer_.qkv, shape_.hidden_padded, b.input, b.rows,
                                  {unit * panels, (unit + 1) * panels, heads.limit * panels});
    call.epilogue = Epilogue::store;
    call.out = sums;
    call.out_stride = shape_.width;
    isa_.linear(call);
    rows_.for_each_text(b.first, b.first + b.rows, [&](size_t text, size_t position, size_t row, size_t rows) {
      keep_head(unit, text, position, row, sums + (row - b.first) * shape_.width, rows);
    });
  }
}

void LayerStages::keep_head(size_t unit, size_t text, size_t position, size_t row, const float* in, size_t rows) const {
  const RotaryTable* table = unit < shape_.heads + shape_.kv_heads ? tables_.rotary(text) : nullptr;
  const size_t half = shape_.width / 2;
  HeadCall call{shape_.precision, shape_.order, in, shape_.width, rows, shape_.width, nullptr, static_cast<size_t>(layer_.head_size),
                layer_.head_norm_eps, table ? table->cosine.data() + position * half : nullptr,
                table ? table->sine.data() + position * half : nullptr, 1.0f, position, rows_.batch().length(text), nullptr, 0};
  if (unit < shape_.heads) {
    const PackedRows to = memory_.query(unit, row);
    call.norm_weight = layer_.q_norm;
    call.scale = static_cast<float>(layer_.attention_scale) * kLog2E;
    call.out = to.data;
    call.stride = to.stride;
    return isa_.query(call);
  }
  unit -= shape_.heads;
  if (unit < shape_.kv_heads) {
    call.norm_weight = layer_.k_norm;
    call.out = memory_.key(unit, text);
    return isa_.key(call);
  }
  call.out = memory_.value(unit - shape_.kv_heads, text);
  call.stride = memory_.value_stride();
  isa_.value(call);
}

void LayerStages::attend(const Block& b, size_t first_head, size_t last_head) const {
  rows_.for_each_text(b.first, b.first + b.rows, [&](size_t text, size_t position, size_t row, size_t rows) {
    for (size_t head = first_head; head < last_head; head++) {
      const size_t kv = head * shape_.kv_heads / shape_.heads;
      for (size_t done = 0; done < rows; done += kAttendRows) {
        const size_t at = row + done, count = std::min<size_t>(kAttendRows, rows - done);
        PackedRows out = from_row(b.context, at - b.first);
        out.data += head * shape_.head_lines * b.context.stride;
        isa_.attend({shape_.precision, shape_.order, memory_.query(head, at), memory_.key(kv, text), memory_.value(kv, text),
                     memory_.value_stride(), shape_.width, count, position + done, rows_.batch().length(text),
                     layer_.window < 0 ? SIZE_MAX : static_cast<size_t>(layer_.window), layer_.causal != 0, tables_.bias(head), out});
      }
    }
  });
}

bool LayerStages::quantize_context(const Block& b, size_t begin, size_t end) const {
  return quantize(layer_.output, b.context, shape_.context(), begin, end);
}

void LayerStages::output(const Block& b, Piece panels) const {
  add_product(b, layer_.output, shape_.context(), b.context, panels);
}

// Post-norm: the attention's norm, kept and packed. Pre-norm: the feed-forward's, packed only.
void LayerStages::between(const Block& b, size_t begin, size_t end) const {
  float* rows = b.residual + begin * shape_.hidden_padded;
  NormCall call = norm_call(layer_.pre_norm ? layer_.mlp_norm : layer_.attention_norm, true, rows, shape_.hidden_padded, end - begin);
  pack_for(layer_.up, from_row(b.input, begin), call);
  if (!layer_.pre_norm) call.out = rows, call.out_stride = shape_.hidden_padded;
  isa_.norm(call);
}

void LayerStages::up(const Block& b, Piece panels) const {
  const size_t together = layer_.gated_mlp ? 2 : 1;
  LinearCall call = linear_call(layer_.up, shape_.hidden_padded, b.input, b.rows,
                                {panels.begin * together, panels.end * together, panels.limit * together});
  call.epilogue = layer_.gated_mlp ? Epilogue::gate : Epilogue::activate;
  call.activation = static_cast<Activation>(layer_.activation);
  call.packed = b.inner;
  isa_.linear(call);
}

bool LayerStages::quantize_inner(const Block& b, size_t begin, size_t end) const {
  return quantize(layer_.down, b.inner, shape_.inner_padded, begin, end);
}

void LayerStages::down(const Block& b, Piece panels) const {
  add_product(b, layer_.down, shape_.inner_padded, b.inner, panels);
}

void LayerStages::finish(const Block& b, size_t begin, size_t end) const {
  rows_.for_each_run(b.first + begin, b.first + end, [&](size_t row, size_t rows, size_t, size_t out) {
    const float* residual = b.residual + (row - b.first) * shape_.hidden_padded;
    NormCall call = norm_call(layer_.mlp_norm, !layer_.pre_norm, residual, shape_.hidden_padded, rows);
    call.out = out_ + out * shape_.hidden;
    call.out_stride = shape_.hidden;
    isa_.norm(call);
  });
}

bool LayerStages::quantize(const StrizhLinear& consumer, PackedRows packed, size_t size, size_t begin, size_t end) const {
  if (consumer.int8) isa_.quantize({from_row(packed, begin), end - begin, size, consumer.smoothing});
  return consumer.int8 != 0;
}

void LayerStages::add_product(const Block& b, const StrizhLinear& weights, size_t k, PackedRows a, Piece panels) const {
  LinearCall call = linear_call(weights, k, a, b.rows, panels);
  call.epilogue = Epilogue::add;
  call.out = b.residual;
  call.out_stride = shape_.hidden_padded;
  isa_.linear(call);
}

Precision LayerStages::precision_of(const StrizhLinear& weights) const {
  return weights.int8 ? Precision::int8 : shape_.precision;
}

LinearCall LayerStages::linear_call(const StrizhLinear& weights, size_t k, PackedRows a, size_t rows, Piece panels) const {
  const Precision precision = precision_of(weights);
  const Linear linear{precision, static_cast<const char*>(weights.panels), weights.bias, lines_of(k, precision), shape_.order};
  return {linear, a, rows, panels.begin, panels.end, panels.limit, Epilogue::store, Activation::identity, nullptr, 0, {}};
}

NormCall LayerStages::norm_call(const StrizhNorm& norm, bool apply, const float* in, size_t in_stride, size_t rows) const {
  return {apply ? static_cast<Norm>(norm.kind) : Norm::none, norm.weight, norm.bias, norm.eps, in, in_stride, rows,
          shape_.hidden, nullptr, 0, {}, shape_.precision, nullptr};
}

void LayerStages::pack_for(const StrizhLinear& consumer, PackedRows packed, NormCall& call) const {
  call.packed = packed;
  call.precision = precision_of(consumer);
  call.smoothing = consumer.smoothing;
}

}  // namespace strizh
