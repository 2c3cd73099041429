// The same kernels on a CPU: every thread of a block is a fiber, blocks run one after the other. Slow, and exact about who
// sees what: a barrier that is missing shows as a wrong result, because fibers only change places where threads meet.
#pragma once
#include <cmath>
#include <cstdint>
#include <cstring>
#include <functional>

#include "../error.h"

#define __global__
#define __device__
#define __launch_bounds__(threads)

struct dim3 {
  unsigned x, y, z;
  dim3(unsigned x, unsigned y = 1, unsigned z = 1) : x(x), y(y), z(z) {}
};

namespace strizh::cuda {

extern dim3 threadIdx, blockIdx;
using std::max;
using std::min;

struct Float16 { uint16_t bits = 0; };
struct Bfloat16 { uint16_t bits = 0; };
using Stream = void*;

inline float to_float(float x) { return x; }
float to_float(Float16 x);
float to_float(Bfloat16 x);
template <typename T> T from_float(float x);
template <> inline float from_float(float x) { return x; }
template <> Float16 from_float(float x);
template <> Bfloat16 from_float(float x);

// Runs body for every thread of every block.
void run_blocks(dim3 grid, dim3 threads, size_t bytes, const std::function<void()>& body);
// Waits for the block's other threads, or for those of the warp.
void __syncthreads();
char* shared_memory();

// Copies arrive as late as they may: when they are waited for.
void copy_async(void* shared, const void* global, bool real);
void commit_copies();
void finish_copies(int pending);
template <int Pending> void wait_for_copies() { finish_copies(Pending); }

void load_matrices(uint32_t (&found)[4], const void* row, bool transposed);
template <bool Transposed> void load_matrices(uint32_t (&found)[4], const void* row) { load_matrices(found, row, Transposed); }

struct Operands {
  uint32_t a[4], b[2];
};
// Every lane's operands, in the order of lanes; valid until the warp meets again.
const Operands* share(const Operands& own);
float exchange(float x, int distance);
int lane();

template <typename T>
void multiply(float (&sums)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
  const Operands* of = share({{a[0], a[1], a[2], a[3]}, {b0, b1}});
  auto part = [](uint32_t both, int which) { return to_float(T{static_cast<uint16_t>(both >> 16 * which)}); };
  // PTX ISA, "Matrix Fragments for mma.m16n8k16": where row r, column k of A and row k, column n of B are.
  auto in_a = [&](int r, int k) { return part(of[r % 8 * 4 + k % 8 / 2].a[r / 8 + k / 8 * 2], k % 2); };
  auto in_b = [&](int k, int n) { return part(of[n * 4 + k % 8 / 2].b[k / 8], k % 2); };
  for (int i = 0; i < 4; ++i) {
    const int r = lane() / 4 + i / 2 * 8, n = lane() % 4 * 2 + i % 2;
    for (int k = 0; k < 16; ++k) sums[i] += in_a(r, k) * in_b(k, n);
  }
}

template <typename... Parameters, typename... Arguments>
void launch(void (*kernel)(Parameters...), dim3 grid, dim3 threads, size_t bytes, Stream, Arguments... arguments) {
  run_blocks(grid, threads, bytes, [&] { kernel(static_cast<Parameters>(arguments)...); });
}

}  // namespace strizh::cuda
