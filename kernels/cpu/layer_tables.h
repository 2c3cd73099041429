// What attention needs beside q, k and v: where each text's keys lie, its rotary table, the relative bias.
#pragma once
#include <memory>
#include <vector>

#include "api.h"
#include "batch.h"
#include "rotary.h"

namespace strizh {

constexpr float kLog2E = 1.4426950408889634f;  // scores are in units of it: exp2 is what instruction sets have

class LayerTables {
 public:
  LayerTables(const StrizhEncoderLayer& layer, const Batch& batch);

  size_t first_panel(size_t text) const { return panels_[text]; }  // panels of 32 keys before this text
  size_t panels() const { return panels_.back(); }
  const RotaryTable* rotary(size_t text) const;  // or null
  const float* bias(size_t head) const;          // bias[key - query] in units of log2(e), or null

 private:
  std::vector<size_t> panels_;
  std::vector<std::shared_ptr<const RotaryTable>> rotary_;  // one a text, or one for all
  std::vector<float> bias_;
  size_t bias_row_ = 0, longest_ = 0;
};

}  // namespace strizh
