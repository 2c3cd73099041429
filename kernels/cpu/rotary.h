// Cosine and sine tables of rotary embedding, [positions][head_width / 2], shared by layers and calls.
#pragma once
#include <cstddef>
#include <memory>
#include <vector>

namespace strizh {

enum class Scaling { none = 0, linear = 1, dynamic = 2, ntk = 3 };

struct Rope {
  double theta;
  size_t dim;  // rotated elements of a head; the others keep angle 0
  Scaling scaling;
  double factor;
  size_t trained_positions;
  size_t head_size, head_width;
};

struct RotaryTable {
  std::vector<float> cosine, sine;
  size_t positions;
};

// The table for a text of `length` tokens, at least that long. Texts share it unless `dynamic` stretches them.
std::shared_ptr<const RotaryTable> rotary_table(const Rope& rope, size_t length);

}  // namespace strizh
