// Where a block or a token finds its text: the lengths are on the device, and nothing waits for them on the host.
#pragma once
#include "device.h"

namespace strizh::cuda {

// Last text whose first value is at most `wanted`, among `batch` texts with values that rise; `value(text)` gives them.
template <typename Value>
__device__ inline int last_text(int batch, int wanted, Value value) {
  int low = 0, high = batch - 1;
  while (low < high) {
    const int middle = (low + high + 1) / 2;
    if (value(middle) <= wanted) low = middle;
    else high = middle - 1;
  }
  return low;
}

}  // namespace strizh::cuda
