// Any CPU: plain C++, correct rather than fast.
#include <cstddef>
#include <cstdint>

#include "../kernels.h"

namespace strizh::generic {

#include "vector_scalar.h"

#include "product_scalar.h"
#include "text.h"

extern const Kernels kernels;
const Kernels kernels = STRIZH_KERNELS("generic", 96, 32, nullptr, nullptr);

}  // namespace strizh::generic
