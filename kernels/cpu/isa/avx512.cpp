// AVX-512 alone: a pair of bf16 is two floats, shifted apart and multiplied in float; bytes are multiplied as 16 bits.
#include <cstddef>
#include <cstdint>
#include <immintrin.h>

#include "../kernels.h"

namespace strizh::avx512 {

#define STRIZH_BF16_INSTRUCTIONS 0
#define STRIZH_VNNI_INSTRUCTIONS 0
#include "vector_avx512.h"
#include "dot_avx512.h"
#include "product_avx512.h"
#include "text.h"

extern const Kernels kernels;
const Kernels kernels = STRIZH_KERNELS("avx512", 96, 32, nullptr, nullptr);

}  // namespace strizh::avx512
