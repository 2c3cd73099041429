// What this machine's instructions and memory can do at most: a matrix instruction alone on resident operands, and a
// read of memory that no cache holds. Each job gives operations or bytes; ceiling.py times it on every core at once.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>

#if defined(__x86_64__)
#include <immintrin.h>
#include <sys/syscall.h>
#include <unistd.h>

// Twelve independent sums hide the latency of one instruction.
#define TWELVE(X) X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11)
#define DECLARE_ZMM(i) __m512i c##i = _mm512_setzero_si512();
#define DECLARE_YMM(i) __m256i c##i = _mm256_setzero_si256();
#define USE(i) asm volatile("" : "+v"(c##i));

#define JOB(name, features, DECLARE, STEP, operations) \
  extern "C" __attribute__((target(features))) double name(int64_t rounds) { \
    TWELVE(DECLARE) \
    for (int64_t round = 0; round < rounds; round++) { TWELVE(STEP) } \
    TWELVE(USE) \
    return 12.0 * operations * static_cast<double>(rounds); \
  }

#define FMA_512(i) asm volatile("vfmadd231ps %0, %0, %0" : "+v"(c##i));
#define DOT_BF16(i) asm volatile("vdpbf16ps %0, %0, %0" : "+v"(c##i));
#define DOT_INT8(i) asm volatile("vpdpbusd %0, %0, %0" : "+v"(c##i));
JOB(avx512f_fp32, "avx512f", DECLARE_ZMM, FMA_512, 32)
JOB(avx512_bf16_bf16, "avx512f,avx512bf16", DECLARE_ZMM, DOT_BF16, 64)
JOB(avx512_vnni_int8, "avx512f,avx512vnni", DECLARE_ZMM, DOT_INT8, 128)
JOB(fma_fp32, "avx2,fma", DECLARE_YMM, FMA_512, 16)

struct alignas(64) TileConfig {
  uint8_t palette = 1, start = 0, reserved[14] = {};
  uint16_t row_bytes[16] = {};
  uint8_t rows[16] = {};
};

// Four tiles of sums, two of each operand: 16 x 16 sums of 64 bytes a step.
#define TILE_JOB(name, features, INSTRUCTION, operations) \
  extern "C" __attribute__((target("amx-tile," features))) double name(int64_t rounds) { \
    syscall(SYS_arch_prctl, 0x1023, 18); /* permission for tile data */ \
    TileConfig config; \
    for (int i = 0; i < 8; i++) config.row_bytes[i] = 64, config.rows[i] = 16; \
    asm volatile("ldtilecfg %0" : : "m"(config)); \
    asm volatile("tilezero %tmm0\n tilezero %tmm1\n tilezero %tmm2\n tilezero %tmm3\n" \
                 "tilezero %tmm4\n tilezero %tmm5\n tilezero %tmm6\n tilezero %tmm7"); \
    for (int64_t round = 0; round < rounds; round++) \
      asm volatile(INSTRUCTION " %tmm6, %tmm4, %tmm0\n" INSTRUCTION " %tmm7, %tmm4, %tmm1\n" \
                   INSTRUCTION " %tmm6, %tmm5, %tmm2\n" INSTRUCTION " %tmm7, %tmm5, %tmm3"); \
    asm volatile("tilerelease"); \
    return 4.0 * operations * static_cast<double>(rounds); \
  }
TILE_JOB(amx_bf16_bf16, "amx-bf16", "tdpbf16ps", 16384)
TILE_JOB(amx_int8_int8, "amx-int8", "tdpbusd", 32768)
#endif

// Sums `bytes` of memory; the caller's buffer is larger than any cache.
extern "C" double read_memory(const uint64_t* data, int64_t bytes) {
  uint64_t sums[8] = {};
  for (int64_t i = 0; i + 8 <= bytes / 8; i += 8)
    for (int j = 0; j < 8; j++) sums[j] += data[i + j];
  volatile uint64_t kept = sums[0] ^ sums[1] ^ sums[2] ^ sums[3] ^ sums[4] ^ sums[5] ^ sums[6] ^ sums[7];
  static_cast<void>(kept);
  return static_cast<double>(bytes);
}
