#include "batch.h"

#include <algorithm>

RandomBatch::RandomBatch(Random& random, int32_t longest) : cu_seqlens{0} {
  for (int32_t texts = random.between(0, 6); texts > 0; texts--) {
    const int32_t awkward = random.one_of({0, 1, 2, 7, 15, 16, 17, 31, 32, 33, 65});
    const int32_t length = random.chance(0.9) ? awkward : random.between(0, longest);
    cu_seqlens.push_back(cu_seqlens.back() + std::min(length, longest));
  }
}
