// AMX with BF16 and INT8 tiles; all else is AVX-512 with BF16, which every such processor has.
#include <cstddef>
#include <cstdint>
#include <immintrin.h>

#include "../kernels.h"

namespace strizh::amx {

#define STRIZH_BF16_INSTRUCTIONS 1
#define STRIZH_VNNI_INSTRUCTIONS 1
#include "vector_avx512.h"
#include "dot_avx512.h"

namespace registers {  // tiles have no float product
#include "product_avx512.h"
}

#include "tile_configuration.h"
#include "tiles_amx.h"
#include "product_amx.h"
#include "text.h"

// An intermediate block of 192 rows and 3072 columns in bf16 is 1.2 MB, and L2 is 2 MB. With fewer rows the products wait
// for the weights, which each block reads anew: at 3.8 TFLOP/s a core, 100 rows of a block need 38 GB/s. So threads that
// have no more than that share the columns, and read half of the weights each.
extern const Kernels kernels;
const Kernels kernels = STRIZH_KERNELS("amx", 192, 96, enter, leave);

}  // namespace strizh::amx
