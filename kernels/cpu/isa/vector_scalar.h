// Sixteen floats in plain C++: any CPU. Every function rounds as the one of vector_avx512.h does, and sums add their lanes in the
// same order, so that 8-bit integers fall to the same side here and there. Included inside an instruction set's namespace.
struct Vector { float lane[16]; };
enum : size_t { kWidth = 16 };

static inline uint32_t bits_of(float x) { uint32_t bits; __builtin_memcpy(&bits, &x, 4); return bits; }
static inline float float_of(uint32_t bits) { float x; __builtin_memcpy(&x, &bits, 4); return x; }

template <typename Lane>
static inline Vector each_lane(Lane lane) {
  Vector x;
  for (size_t i = 0; i < kWidth; i++) x.lane[i] = lane(i);
  return x;
}

static inline Vector load(const float* p) { return each_lane([=](size_t i) { return p[i]; }); }
static inline Vector load_first(const float* p, size_t n) { return each_lane([=](size_t i) { return i < n ? p[i] : 0.0f; }); }
static inline void store(float* p, Vector x) { __builtin_memcpy(p, x.lane, sizeof x.lane); }
static inline void store_first(float* p, Vector x, size_t n) { __builtin_memcpy(p, x.lane, n * sizeof(float)); }
static inline Vector broadcast(float x) { return each_lane([=](size_t) { return x; }); }
static inline Vector add(Vector a, Vector b) { return each_lane([&](size_t i) { return a.lane[i] + b.lane[i]; }); }
static inline Vector subtract(Vector a, Vector b) { return each_lane([&](size_t i) { return a.lane[i] - b.lane[i]; }); }
static inline Vector multiply(Vector a, Vector b) { return each_lane([&](size_t i) { return a.lane[i] * b.lane[i]; }); }
static inline Vector divide(Vector a, Vector b) { return each_lane([&](size_t i) { return a.lane[i] / b.lane[i]; }); }
static inline Vector multiply_add(Vector a, Vector b, Vector c) {
  return each_lane([&](size_t i) { return __builtin_fmaf(a.lane[i], b.lane[i], c.lane[i]); });
}
static inline Vector maximum(Vector a, Vector b) { return each_lane([&](size_t i) { return a.lane[i] > b.lane[i] ? a.lane[i] : b.lane[i]; }); }
static inline Vector minimum(Vector a, Vector b) { return each_lane([&](size_t i) { return a.lane[i] < b.lane[i] ? a.lane[i] : b.lane[i]; }); }
static inline Vector magnitude(Vector x) { return each_lane([&](size_t i) { return float_of(bits_of(x.lane[i]) & 0x7fffffff); }); }

static inline Vector nearest_integer(Vector x) {  // by 1.5 * 2^23; |x| < 2^22
  return each_lane([&](size_t i) { return x.lane[i] + 12582912.0f - 12582912.0f; });
}

static inline Vector times_power_of_two(Vector x, Vector n) {
  return each_lane([&](size_t i) {
    const float k = n.lane[i] > 127 ? 127 : n.lane[i];
    return k < -126 ? 0.0f : x.lane[i] * float_of(static_cast<uint32_t>(static_cast<int32_t>(k) + 127) << 23);
  });
}

static inline float sum(Vector x) {
  for (size_t half = kWidth / 2; half > 0; half /= 2)
    for (size_t i = 0; i < half; i++) x.lane[i] += x.lane[i + half];
  return x.lane[0];
}

static inline float largest(Vector x) {
  float top = x.lane[0];
  for (float lane : x.lane) top = lane > top ? lane : top;
  return top;
}

// Lanes begin <= lane < end of x, `other` elsewhere.
static inline Vector keep_between(Vector x, size_t begin, size_t end, Vector other) {
  return each_lane([&](size_t i) { return i >= begin && i < end ? x.lane[i] : other.lane[i]; });
}

// The sums of the weights of kWidth columns, which are a 128th of their corrections.
struct Integers { int32_t lane[16]; };
static inline Integers load_column_sums(const int32_t* corrections) {
  Integers sums;
  for (size_t i = 0; i < kWidth; i++) sums.lane[i] = corrections[i] / 128;
  return sums;
}

// The 32-bit integers whose bits are at `p`, less `zero` times `columns`, as floats.
static inline Vector load_corrected(const float* p, Integers columns, int32_t zero) {
  return each_lane([&](size_t i) { return static_cast<float>(static_cast<int32_t>(bits_of(p[i])) - columns.lane[i] * zero); });
}

// To the 32-bit integers whose bits are at `p`: `factor` times the signed byte number `byte` of each group of four.
static inline void add_bytes(float* p, const char* groups, size_t byte, int32_t factor) {
  const auto* bytes = reinterpret_cast<const int8_t*>(groups) + byte;
  for (size_t i = 0; i < kWidth; i++) p[i] = float_of(bits_of(p[i]) + static_cast<uint32_t>(bytes[kGroupBytes * i] * factor));
}

// Byte of round(x) + zero, ties to even, kept within [0, 255]: the lowest bits of x + 1.5 * 2^23.
static inline uint8_t to_byte(float x, int32_t zero) {
  const float low = static_cast<float>(-zero), high = static_cast<float>(255 - zero), kept = x < low ? low : x > high ? high : x;
  return static_cast<uint8_t>(bits_of(kept + 12582912.0f) + static_cast<uint32_t>(zero));
}

// Bytes of round(x) + zero, ties to even, kept within [0, 255], of four vectors; |x| < 2^31.
static inline void store_bytes(uint8_t* p, Vector a, Vector b, Vector c, Vector d, int32_t zero) {
  const Vector four[] = {a, b, c, d};
  for (const Vector& x : four)
    for (float lane : x.lane) *p++ = to_byte(lane, zero);
}

static inline float from_bf16(uint16_t x) { return float_of(static_cast<uint32_t>(x) << 16); }
static inline uint32_t to_bf16(float x) { const uint32_t b = bits_of(x); return (b + 0x7fff + (b >> 16 & 1)) >> 16; }
static inline Vector load_bf16(const uint16_t* p) { return each_lane([=](size_t i) { return from_bf16(p[i]); }); }

static inline void store_bf16(uint16_t* p, Vector x) {
  for (size_t i = 0; i < kWidth; i++) p[i] = static_cast<uint16_t>(to_bf16(x.lane[i]));
}

// Two bf16 rows woven into pairs: out[i] = low[i] | high[i] << 16.
static inline void store_pairs(uint32_t* out, Vector low, Vector high) {
  for (size_t i = 0; i < kWidth; i++) out[i] = to_bf16(low.lane[i]) | to_bf16(high.lane[i]) << 16;
}

static inline void store_transposed(const uint32_t* in, uint32_t* out, size_t out_stride, size_t rows) {
  for (size_t row = 0; row < rows; row++)
    for (size_t column = 0; column < 16; column++) out[column * out_stride + row] = in[row * 16 + column];
}
