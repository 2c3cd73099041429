#include "layer_tables.h"

#include <algorithm>
#include <cmath>

#include "layout.h"

namespace strizh {

namespace {

// T5's bidirectional bucket of a distance key - query.
size_t bucket(long distance, size_t buckets, double max_distance) {
  const size_t half = buckets / 2, exact = half / 2, magnitude = static_cast<size_t>(std::labs(distance));
  size_t b = magnitude;
  if (magnitude >= exact) {
    const double unit = static_cast<double>(exact);
    const double far = std::log(static_cast<double>(magnitude) / unit) / std::log(max_distance / unit);
    b = std::min(exact + static_cast<size_t>(far * static_cast<double>(half - exact)), half - 1);
  }
  return b + (distance > 0 ? half : 0);
}

}  // namespace

LayerTables::LayerTables(const StrizhEncoderLayer& layer, const Batch& batch) : panels_(batch.texts + 1) {
  for (size_t text = 0; text < batch.texts; text++) {
    longest_ = std::max(longest_, batch.length(text));
    panels_[text + 1] = panels_[text] + divide_up(batch.length(text), kPanelColumns);
  }
  if (layer.rope_dim > 0) {
    const size_t head_size = static_cast<size_t>(layer.head_size);
    const Rope rope{layer.rope_theta, static_cast<size_t>(layer.rope_dim), static_cast<Scaling>(layer.rope_scaling),
                    layer.rope_factor, static_cast<size_t>(layer.trained_positions), head_size, padded(head_size)};
    const bool by_text = rope.scaling == Scaling::dynamic && longest_ > rope.trained_positions;
    for (size_t text = 0; text < (by_text ? batch.texts : 1); text++)
      rotary_.push_back(rotary_table(rope, by_text ? batch.length(text) : longest_));
  }
  if (layer.relative_bias) {
    const size_t heads = static_cast<size_t>(layer.num_heads), buckets = static_cast<size_t>(layer.relative_buckets);
    bias_row_ = 2 * longest_ + 2 * kPanelColumns;  // whole panels of keys are read
    bias_.assign(heads * bias_row_, 0.0f);
    const long last = static_cast<long>(longest_) - 1;
    for (long distance = -last; distance <= last; distance++) {
      const float* row = layer.relative_bias + bucket(distance, buckets, layer.relative_max_distance) * heads;
      for (size_t head = 0; head < heads; head++)
        bias_[head * bias_row_ + static_cast<size_t>(distance + static_cast<long>(longest_))] = row[head] * kLog2E;
    }
  }
}

const RotaryTable* LayerTables::rotary(size_t text) const {
  return rotary_.empty() ? nullptr : rotary_[rotary_.size() == 1 ? 0 : text].get();
}

const float* LayerTables::bias(size_t head) const {
  return bias_.empty() ? nullptr : bias_.data() + head * bias_row_ + longest_;
}

}  // namespace strizh
