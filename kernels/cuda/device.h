// What the kernels use of a GPU, in functions of few lines, so that the same kernels also run on emulated threads.
#pragma once
#include <cstdint>

#ifdef STRIZH_EMULATED
#include "emulated/device.h"
#else

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include "error.h"

namespace strizh::cuda {

using Float16 = __half;
using Bfloat16 = __nv_bfloat16;
using Stream = cudaStream_t;

__device__ inline float to_float(float x) { return x; }
__device__ inline float to_float(Float16 x) { return __half2float(x); }
__device__ inline float to_float(Bfloat16 x) { return __bfloat162float(x); }
template <typename T> __device__ inline T from_float(float x);
template <> __device__ inline float from_float(float x) { return x; }
template <> __device__ inline Float16 from_float(float x) { return __float2half_rn(x); }
template <> __device__ inline Bfloat16 from_float(float x) { return __float2bfloat16_rn(x); }

// A block's dynamic shared memory.
__device__ inline char* shared_memory() {
  extern __shared__ __align__(16) char memory[];
  return memory;
}

__device__ inline uint32_t shared_address(const void* pointer) { return static_cast<uint32_t>(__cvta_generic_to_shared(pointer)); }

// 16 bytes from global to shared memory, or zeros, while the threads go on.
__device__ inline void copy_async(void* shared, const void* global, bool real) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;\n" ::"r"(shared_address(shared)), "l"(global), "r"(real ? 16 : 0));
}
__device__ inline void commit_copies() { asm volatile("cp.async.commit_group;\n"); }
// Until at most `Pending` of the committed groups are under way.
template <int Pending> __device__ inline void wait_for_copies() { asm volatile("cp.async.wait_group %0;\n" ::"n"(Pending)); }

// Four 8 x 8 matrices of 16-bit numbers: lane i gives the address of row i % 8 of matrix i / 8, and gets of each matrix the two
// numbers of row lane / 4 at columns 2 (lane % 4); with `Transposed`, of the transposed matrix.
template <bool Transposed>
__device__ inline void load_matrices(uint32_t (&found)[4], const void* row) {
  if constexpr (Transposed)
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];\n"
                 : "=r"(found[0]), "=r"(found[1]), "=r"(found[2]), "=r"(found[3]) : "r"(shared_address(row)));
  else
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];\n"
                 : "=r"(found[0]), "=r"(found[1]), "=r"(found[2]), "=r"(found[3]) : "r"(shared_address(row)));
}

// sums [16 x 8] += a [16 x 16] * b [16 x 8] of one warp, in the layout of mma.m16n8k16.
template <typename T>
__device__ inline void multiply(float (&sums)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
  if constexpr (sizeof(T) == 2 && __is_same(T, Float16))
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};\n"
                 : "+f"(sums[0]), "+f"(sums[1]), "+f"(sums[2]), "+f"(sums[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
  else
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};\n"
                 : "+f"(sums[0]), "+f"(sums[1]), "+f"(sums[2]), "+f"(sums[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

__device__ inline float exchange(float x, int distance) { return __shfl_xor_sync(0xffffffffu, x, distance); }

// Queues kernel<<<grid, threads, bytes, stream>>>(arguments); throws what CUDA says against it.
template <typename... Parameters, typename... Arguments>
void launch(void (*kernel)(Parameters...), dim3 grid, dim3 threads, size_t bytes, Stream stream, Arguments... arguments) {
  if (grid.x == 0 || grid.y == 0) return;
  if (bytes > 48 * 1024) check(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(bytes)));
  kernel<<<grid, threads, bytes, stream>>>(static_cast<Parameters>(arguments)...);
  check(cudaGetLastError());
}

}  // namespace strizh::cuda
#endif

namespace strizh::cuda {

// Two numbers in one register, the first in the lower half.
template <typename T>
__device__ inline uint32_t pair(float first, float second) {
  const T both[2] = {from_float<T>(first), from_float<T>(second)};
  uint32_t bits;
  __builtin_memcpy(&bits, both, sizeof bits);
  return bits;
}

// The sum, or the greatest, over the 32 lanes of a warp.
__device__ inline float warp_sum(float x) {
  for (int distance = 16; distance > 0; distance /= 2) x += exchange(x, distance);
  return x;
}

}  // namespace strizh::cuda
