// The AMX code over tile registers in plain C++: any CPU runs its tests. Slow; chosen by name only.
#include <cstddef>
#include <cstdint>

#include "../kernels.h"

namespace strizh::amx_emulated {

#include "vector_scalar.h"

namespace registers {
#include "product_scalar.h"
}

#include "tile_configuration.h"
#include "tiles_emulated.h"
#include "product_amx.h"
#include "text.h"

extern const Kernels kernels;
const Kernels kernels = STRIZH_KERNELS("amx_emulated", 192, 96, enter, leave);

}  // namespace strizh::amx_emulated
