// One float: any CPU. Included inside an instruction set's namespace.
using Vector = float;
enum : size_t { kWidth = 1 };

static inline Vector load(const float* p) { return *p; }
static inline Vector load_first(const float* p, size_t n) { return n ? *p : 0.0f; }
static inline void store(float* p, Vector x) { *p = x; }
static inline void store_first(float* p, Vector x, size_t n) { if (n) *p = x; }
static inline Vector broadcast(float x) { return x; }
static inline Vector add(Vector a, Vector b) { return a + b; }
static inline Vector subtract(Vector a, Vector b) { return a - b; }
static inline Vector multiply(Vector a, Vector b) { return a * b; }
static inline Vector divide(Vector a, Vector b) { return a / b; }
static inline Vector multiply_add(Vector a, Vector b, Vector c) { return a * b + c; }
static inline Vector maximum(Vector a, Vector b) { return a > b ? a : b; }
static inline Vector minimum(Vector a, Vector b) { return a < b ? a : b; }
static inline Vector magnitude(Vector x) { return x < 0 ? -x : x; }
static inline Vector nearest_integer(Vector x) { return x + 12582912.0f - 12582912.0f; }  // 1.5 * 2^23; |x| < 2^22
static inline float sum(Vector x) { return x; }
static inline float largest(Vector x) { return x; }
static inline Vector keep_between(Vector x, size_t begin, size_t end, Vector other) { return begin == 0 && end == 1 ? x : other; }

static inline uint32_t bits_of(float x) { uint32_t bits; __builtin_memcpy(&bits, &x, 4); return bits; }
static inline float float_of(uint32_t bits) { float x; __builtin_memcpy(&x, &bits, 4); return x; }

static inline Vector times_power_of_two(Vector x, Vector n) {
  return n < -126 ? 0.0f : x * float_of(static_cast<uint32_t>(static_cast<int32_t>(n > 127 ? 127 : n) + 127) << 23);
}

// The 32-bit integer whose bits are at `p` less another, as a float.
static inline Vector load_difference(const float* p, const int32_t* less) {
  return static_cast<float>(static_cast<int32_t>(bits_of(*p)) - *less);
}

// The byte round(x) + 128, ties to even, for x in [-127, 127]: the lowest bits of x + 1.5 * 2^23.
static inline void store_shifted_bytes(uint8_t* p, Vector x) { *p = static_cast<uint8_t>(bits_of(x + 12582912.0f) + 128); }

static inline Vector load_bf16(const uint16_t* p) { return float_of(static_cast<uint32_t>(*p) << 16); }
static inline uint32_t to_bf16(float x) { const uint32_t b = bits_of(x); return (b + 0x7fff + (b >> 16 & 1)) >> 16; }
static inline void store_bf16(uint16_t* p, Vector x) { *p = static_cast<uint16_t>(to_bf16(x)); }
static inline void store_pairs(uint32_t* out, Vector low, Vector high) { *out = to_bf16(low) | to_bf16(high) << 16; }

static inline void store_transposed(const uint32_t* in, uint32_t* out, size_t out_stride, size_t rows) {
  for (size_t row = 0; row < rows; row++)
    for (size_t column = 0; column < 16; column++) out[column * out_stride + row] = in[row * 16 + column];
}
