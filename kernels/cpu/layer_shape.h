// Sizes that follow from a layer's description, in the units of the packed layouts.
#pragma once
#include "api.h"
#include "kernels.h"

namespace strizh {

struct LayerShape {
  explicit LayerShape(const StrizhEncoderLayer& layer)
      : precision(static_cast<Precision>(layer.precision)),
        order(layer.sum_order || layer.qkv.int8 || layer.output.int8 || layer.up.int8 || layer.down.int8 ? SumOrder::tiles
                                                                                                          : SumOrder::chain),
        hidden(static_cast<size_t>(layer.hidden_size)),
        heads(static_cast<size_t>(layer.num_heads)),
        kv_heads(static_cast<size_t>(layer.num_kv_heads)),
        width(padded(static_cast<size_t>(layer.head_size))),
        hidden_padded(padded(hidden)),
        inner_padded(padded(static_cast<size_t>(layer.intermediate_size))),
        head_lines(width / elements_per_line(precision)),
        key_bytes(width / elements_per_group(precision) * kPanelColumns * kGroupBytes),
        value_bytes(kPanelColumns / elements_per_group(precision) * kPanelColumns * kGroupBytes) {}

  Precision precision;
  SumOrder order;  // of attention and of the products that are not 8-bit
  size_t hidden, heads, kv_heads;
  size_t width;  // columns of a head in the packed layouts
  size_t hidden_padded, inner_padded;
  size_t head_lines;
  size_t key_bytes;    // one panel of 32 keys of one head
  size_t value_bytes;  // 32 keys x 32 columns of v

  size_t context() const { return heads * width; }  // columns of attention's output
  size_t head_panels() const { return width / kPanelColumns; }
  size_t hidden_panels() const { return hidden_padded / kPanelColumns; }
  size_t inner_panels() const { return inner_padded / kPanelColumns; }
  size_t units() const { return heads + 2 * kv_heads; }  // heads of q, then of k, then of v
};

}  // namespace strizh
