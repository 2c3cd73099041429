// A random encoder layer in every precision, with all the memory that its descriptions point to.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "api.h"
#include "layout.h"
#include "random.h"

using strizh::Precision;

// Memory that begins on a cache line and ends where the operators must stop reading.
struct Free {
  void operator()(char* p) const;
};
using Aligned = std::unique_ptr<char, Free>;
Aligned aligned(size_t bytes);

// Weight [rows][in] in the panels of layout.h: row r is column place[r], the rest is zeros.
Aligned pack(const std::vector<float>& weight, size_t in, const std::vector<size_t>& place, Precision precision);

class RandomLayer {
 public:
  explicit RandomLayer(Random& random);
  // int8: some of the four products are, and the others bf16.
  const StrizhEncoderLayer& in(Precision precision) const { return spec_[static_cast<size_t>(precision)]; }
  size_t hidden() const { return static_cast<size_t>(spec_[0].hidden_size); }
  size_t longest_sum() const;  // terms of the layer's longest product
  std::string description() const;

 private:
  void describe(Random& random);
  void make_product(Random& random, StrizhLinear StrizhEncoderLayer::*product, size_t in, const std::vector<size_t>& place);
  void make_norm(Random& random, StrizhNorm StrizhEncoderLayer::*norm, int32_t kind);
  const float* vector(const std::vector<float>& values, const std::vector<size_t>& place);

  StrizhEncoderLayer spec_[3] = {};
  std::vector<Aligned> memory_;
};
