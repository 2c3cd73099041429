// AVX-512 with VNNI (vpdpbusd, 64 multiply-adds an instruction); a pair of bf16 is two floats.
#include <cstddef>
#include <cstdint>
#include <immintrin.h>

#include "../kernels.h"

namespace strizh::avx512_vnni {

#define STRIZH_BF16_INSTRUCTIONS 0
#define STRIZH_VNNI_INSTRUCTIONS 1
#include "vector_avx512.h"
#include "dot_avx512.h"
#include "product_avx512.h"
#include "text.h"

extern const Kernels kernels;
const Kernels kernels = STRIZH_KERNELS("avx512_vnni", 96, 32, nullptr, nullptr);

}  // namespace strizh::avx512_vnni
