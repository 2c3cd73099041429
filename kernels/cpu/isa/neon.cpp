// arm64 NEON: float arithmetic on four lanes; bf16 is storage only, and integers are plain C++.
#include <arm_neon.h>
#include <cstddef>
#include <cstdint>

#include "../kernels.h"

namespace strizh::neon {

#include "vector_neon.h"
#include "integers_scalar.h"
#include "product_fma.h"
#include "text.h"

extern const Kernels kernels;
const Kernels kernels = STRIZH_KERNELS("neon", 96, 32, nullptr, nullptr);

}  // namespace strizh::neon
