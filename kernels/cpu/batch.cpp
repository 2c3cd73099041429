#include "batch.h"

#include <algorithm>
#include <string>

#include "error.h"

namespace strizh {

Batch Batch::checked(const int32_t* cu_seqlens, int64_t count, int64_t tokens) {
  if (count < 1) throw Error("cu_seqlens is empty; expected batch + 1 offsets that begin with 0");
  if (cu_seqlens[0] != 0)
    throw Error("cu_seqlens begins with " + std::to_string(cu_seqlens[0]) + "; expected 0, where the first text begins");
  for (int64_t i = 1; i < count; i++)
    if (cu_seqlens[i] < cu_seqlens[i - 1])
      throw Error("cu_seqlens falls from " + std::to_string(cu_seqlens[i - 1]) + " to " + std::to_string(cu_seqlens[i]) +
                  " at text " + std::to_string(i - 1) + "; expected offsets that never fall");
  if (cu_seqlens[count - 1] != tokens)
    throw Error("cu_seqlens ends at " + std::to_string(cu_seqlens[count - 1]) + " but there are " + std::to_string(tokens) +
                " tokens; expected the last offset to be their count");
  return {cu_seqlens, static_cast<size_t>(count - 1), static_cast<size_t>(tokens)};
}

size_t Batch::text_of(size_t token) const {
  const int32_t* end = cu_seqlens + texts + 1;
  return static_cast<size_t>(std::upper_bound(cu_seqlens, end, static_cast<int32_t>(token)) - cu_seqlens) - 1;
}

}  // namespace strizh
