// AMX's tile registers. Included inside an instruction set's namespace; tiles_emulated.h is the same interface for any
// CPU. Tiles are numbered 0 to 7; an element of a product is c[m][n] += sum over k of a[m][k] b[k][n], where k counts
// 32-bit groups of the operands.
//
// The instructions are written out because gcc 12's intrinsics do not tell the compiler that a tile load reads memory:
// it may move or drop the stores that fill it.
static inline void tiles_configure(const TileConfiguration& tiles) { asm volatile("ldtilecfg %0" : : "m"(tiles)); }
static inline void tiles_release() { asm volatile("tilerelease"); }

template <int tile>
static inline void tile_zero() { asm volatile("tilezero %%tmm%c0" : : "i"(tile)); }

// `stride` in bytes from row to row.
template <int tile>
static inline void tile_load(const void* from, size_t stride) {
  asm volatile("tileloadd (%1,%2,1), %%tmm%c0" : : "i"(tile), "r"(from), "r"(stride) : "memory");
}

template <int tile>
static inline void tile_store(void* to, size_t stride) {
  asm volatile("tilestored %%tmm%c0, (%1,%2,1)" : : "i"(tile), "r"(to), "r"(stride) : "memory");
}

// c += a b; 8-bit: a unsigned, b signed, sums of 32 bits.
template <Precision precision, int c, int a, int b>
static inline void tile_dot() {
  if constexpr (precision == Precision::int8) asm volatile("tdpbusd %%tmm%c2, %%tmm%c1, %%tmm%c0" : : "i"(c), "i"(a), "i"(b));
  else asm volatile("tdpbf16ps %%tmm%c2, %%tmm%c1, %%tmm%c0" : : "i"(c), "i"(a), "i"(b));
}
