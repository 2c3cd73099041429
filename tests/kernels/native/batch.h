// A random packed batch: few texts, lengths around the sizes of tiles and blocks.
#pragma once
#include <cstdint>
#include <vector>

#include "random.h"

struct RandomBatch {
  explicit RandomBatch(Random& random, int32_t longest = 300);

  std::vector<int32_t> cu_seqlens;

  int64_t texts() const { return static_cast<int64_t>(cu_seqlens.size()) - 1; }
  int64_t tokens() const { return cu_seqlens.back(); }
};
