// AMX's tile registers in plain C++, instruction by instruction as the manual defines them, so that the code written
// for them can be tested on any CPU: the interface of tiles_amx.h. A tile that is used outside tiles_configure and
// tiles_release stops the program, as the processor would.
struct Tile {
  alignas(64) char rows[16][64];
};

struct Tiles {
  bool configured;
  TileConfiguration shape;
  Tile registers[8];
};

static thread_local Tiles processor;

static inline void tiles_configure(const TileConfiguration& shape) {
  if (shape.palette != 1) __builtin_trap();
  processor = Tiles();
  processor.configured = true;
  processor.shape = shape;
}

static inline void tiles_release() { processor.configured = false; }

template <int tile>
static inline Tile& used_tile() {
  if (!processor.configured || processor.shape.rows[tile] == 0) __builtin_trap();
  return processor.registers[tile];
}

template <int tile>
static inline void tile_zero() { used_tile<tile>() = Tile(); }

template <int tile>
static inline void tile_load(const void* from, size_t stride) {
  Tile& t = used_tile<tile>();
  t = Tile();
  for (size_t row = 0; row < processor.shape.rows[tile]; row++)
    __builtin_memcpy(t.rows[row], static_cast<const char*>(from) + row * stride, processor.shape.row_bytes[tile]);
}

template <int tile>
static inline void tile_store(void* to, size_t stride) {
  const Tile& t = used_tile<tile>();
  for (size_t row = 0; row < processor.shape.rows[tile]; row++)
    __builtin_memcpy(static_cast<char*>(to) + row * stride, t.rows[row], processor.shape.row_bytes[tile]);
}

// Denormal numbers count as zero, on the way in and out.
static inline float flushed(float x) { return __builtin_fabsf(x) < 1.17549435e-38f ? 0.0f : x; }

// Even and odd elements of k are summed apart, each rounded after every product; then both, then to the tile's sum.
static inline void row_dot_bf16(const char* left, const Tile& right, size_t groups, char* to) {
  float even[16] = {}, odd[16] = {}, sums[16];
  const auto* x = reinterpret_cast<const uint16_t*>(left);
  for (size_t k = 0; k < groups; k++) {
    const auto* y = reinterpret_cast<const uint16_t*>(right.rows[k]);
    const float first = flushed(from_bf16(x[2 * k])), second = flushed(from_bf16(x[2 * k + 1]));
    for (size_t n = 0; n < 16; n++) {
      even[n] = flushed(even[n] + first * flushed(from_bf16(y[2 * n])));
      odd[n] = flushed(odd[n] + second * flushed(from_bf16(y[2 * n + 1])));
    }
  }
  __builtin_memcpy(sums, to, sizeof sums);
  for (size_t n = 0; n < 16; n++) sums[n] = flushed(flushed(sums[n]) + flushed(even[n] + odd[n]));
  __builtin_memcpy(to, sums, sizeof sums);
}

// Unsigned bytes times signed ones, exact.
static inline void row_dot_int8(const char* left, const Tile& right, size_t groups, char* to) {
  int32_t sums[16];
  __builtin_memcpy(sums, to, sizeof sums);
  const auto* x = reinterpret_cast<const uint8_t*>(left);
  for (size_t k = 0; k < groups; k++, x += 4) {
    const auto* y = reinterpret_cast<const int8_t*>(right.rows[k]);
    for (size_t n = 0; n < 16; n++)
      for (size_t i = 0; i < 4; i++) sums[n] += x[i] * y[4 * n + i];
  }
  __builtin_memcpy(to, sums, sizeof sums);
}

template <Precision precision, int c, int a, int b>
static void tile_dot() {
  Tile& to = used_tile<c>();
  const Tile &left = used_tile<a>(), &right = used_tile<b>();
  const size_t groups = processor.shape.row_bytes[a] / 4u;
  for (size_t m = 0; m < processor.shape.rows[c]; m++) {
    if constexpr (precision == Precision::int8) row_dot_int8(left.rows[m], right, groups, to.rows[m]);
    else row_dot_bf16(left.rows[m], right, groups, to.rows[m]);
  }
}
