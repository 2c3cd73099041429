#include "isa.h"

#include <atomic>
#include <cstdlib>

#include "error.h"

#if defined(__x86_64__)
#include <cpuid.h>
#endif
#if defined(__x86_64__) && defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace strizh {

#if defined(__x86_64__)
namespace amx { extern const Kernels kernels; }
namespace avx512_bf16 { extern const Kernels kernels; }
namespace avx512_vnni { extern const Kernels kernels; }
namespace avx512 { extern const Kernels kernels; }
namespace avx2 { extern const Kernels kernels; }
#endif
#if defined(__aarch64__)
namespace neon { extern const Kernels kernels; }
#endif
namespace generic { extern const Kernels kernels; }
namespace amx_emulated { extern const Kernels kernels; }

namespace {

#if defined(__x86_64__)
struct Registers { unsigned eax = 0, ebx = 0, ecx = 0, edx = 0; };

Registers cpuid(unsigned leaf, unsigned subleaf) {
  Registers r;
  __get_cpuid_count(leaf, subleaf, &r.eax, &r.ebx, &r.ecx, &r.edx);
  return r;
}

bool has(unsigned word, int bit) { return (word >> bit & 1) != 0; }

// The operating system saves these registers: bits of XCR0 (Intel SDM, volume 1, 13.3).
bool saves_state(unsigned mask) {
  if (!has(cpuid(1, 0).ecx, 27)) return false;  // OSXSAVE
  unsigned low, high;
  __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return (low & mask) == mask;
}

constexpr unsigned kAvxState = 0x6, kAvx512State = 0xe6;  // SSE and AVX; and opmask, upper halves, upper sixteen
constexpr unsigned kTileState = 0x60000;                  // tile configuration and data

bool runs_avx2() { return saves_state(kAvxState) && has(cpuid(1, 0).ecx, 12) && has(cpuid(7, 0).ebx, 5); }  // FMA, AVX2

bool runs_avx512() {
  const unsigned ebx = cpuid(7, 0).ebx;
  return saves_state(kAvx512State) && has(ebx, 16) && has(ebx, 17) && has(ebx, 30) && has(ebx, 31);  // F, DQ, BW, VL
}

bool runs_avx512_vnni() { return runs_avx512() && has(cpuid(7, 0).ecx, 11); }
bool runs_avx512_bf16() { return runs_avx512_vnni() && has(cpuid(7, 1).eax, 5); }

// Linux gives a process the tile registers when it asks, once (its Documentation/arch/x86/xstate.rst).
bool may_use_tiles() {
#if defined(__linux__)
  constexpr long kRequestPermission = 0x1023, kTileData = 18;
  static const bool granted = syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
  return granted;
#else
  return false;
#endif
}

bool runs_amx() {
  const unsigned edx = cpuid(7, 0).edx;
  return runs_avx512_bf16() && has(edx, 22) && has(edx, 24) && has(edx, 25) &&  // AMX: BF16, TILE, INT8
         saves_state(kTileState) && may_use_tiles();
}
#endif

bool runs_always() { return true; }

struct InstructionSet {
  const char* name;
  bool (*runs)();
  const Kernels* kernels;
};

// Best first as far as "generic", which runs everywhere. Behind it is what only its name chooses.
constexpr InstructionSet kInstructionSets[] = {
#if defined(__x86_64__)
    {"amx", runs_amx, &amx::kernels},
    {"avx512_bf16", runs_avx512_bf16, &avx512_bf16::kernels},
    {"avx512_vnni", runs_avx512_vnni, &avx512_vnni::kernels},
    {"avx512", runs_avx512, &avx512::kernels},
    {"avx2", runs_avx2, &avx2::kernels},
#elif defined(__aarch64__)
    {"neon", runs_always, &neon::kernels},
#endif
    {"generic", runs_always, &generic::kernels},
    {"amx_emulated", runs_always, &amx_emulated::kernels},
};

std::atomic<const Kernels*> chosen{nullptr};

const Kernels* choose(const std::string& name) {
  for (const InstructionSet& isa : kInstructionSets)
    if ((name.empty() || name == isa.name) && isa.runs()) return isa.kernels;
  throw Error("STRIZH_ISA is '" + name + "', which this library does not have or this CPU does not run; expected one of " +
              instruction_sets_that_run() + ", or unset for the best");
}

}  // namespace

const Kernels& kernels() {
  const Kernels* current = chosen.load(std::memory_order_acquire);
  if (current == nullptr) {
    const char* forced = std::getenv("STRIZH_ISA");
    current = choose(forced ? forced : "");
    chosen.store(current, std::memory_order_release);
  }
  return *current;
}

void use_instruction_set(const std::string& name) { chosen.store(choose(name), std::memory_order_release); }

std::string instruction_sets_that_run() {
  std::string names;
  for (const InstructionSet& isa : kInstructionSets) {
    if (isa.runs()) names += (names.empty() ? "" : ", ") + std::string(isa.name);
    if (isa.kernels == &generic::kernels) break;
  }
  return names;
}

}  // namespace strizh
