// AVX2 with FMA: float arithmetic on eight lanes; bf16 is storage only, bytes are multiplied as 16 bits.
#include <cstddef>
#include <cstdint>
#include <immintrin.h>

#include "../kernels.h"

namespace strizh::avx2 {

#include "vector_avx2.h"
#include "integers_avx2.h"
#include "product_fma.h"
#include "text.h"

extern const Kernels kernels;
const Kernels kernels = STRIZH_KERNELS("avx2", 96, 32, nullptr, nullptr);

}  // namespace strizh::avx2
