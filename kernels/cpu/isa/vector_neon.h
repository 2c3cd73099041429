// Four floats: arm64 NEON, which every such CPU has. Included inside an instruction set's namespace.
using Vector = float32x4_t;
enum : size_t { kWidth = 4 };

// Ones in lanes begin <= lane < end.
static inline uint32x4_t lanes_between(size_t begin, size_t end) {
  const uint32_t count[4] = {0, 1, 2, 3};
  const uint32x4_t lane = vld1q_u32(count);
  return vandq_u32(vcgeq_u32(lane, vdupq_n_u32(static_cast<uint32_t>(begin))),
                   vcltq_u32(lane, vdupq_n_u32(static_cast<uint32_t>(end))));
}

static inline Vector load(const float* p) { return vld1q_f32(p); }
static inline void store(float* p, Vector x) { vst1q_f32(p, x); }
static inline Vector broadcast(float x) { return vdupq_n_f32(x); }
static inline Vector add(Vector a, Vector b) { return vaddq_f32(a, b); }
static inline Vector subtract(Vector a, Vector b) { return vsubq_f32(a, b); }
static inline Vector multiply(Vector a, Vector b) { return vmulq_f32(a, b); }
static inline Vector divide(Vector a, Vector b) { return vdivq_f32(a, b); }
static inline Vector multiply_add(Vector a, Vector b, Vector c) { return vfmaq_f32(c, a, b); }
static inline Vector maximum(Vector a, Vector b) { return vmaxq_f32(a, b); }
static inline Vector minimum(Vector a, Vector b) { return vminq_f32(a, b); }
static inline Vector magnitude(Vector x) { return vabsq_f32(x); }
static inline Vector nearest_integer(Vector x) { return vrndnq_f32(x); }
static inline float sum(Vector x) { return vaddv_f32(vadd_f32(vget_low_f32(x), vget_high_f32(x))); }
static inline float largest(Vector x) { return vmaxvq_f32(x); }

static inline Vector load_first(const float* p, size_t n) {
  float lanes[4] = {};
  for (size_t i = 0; i < n && i < 4; i++) lanes[i] = p[i];
  return load(lanes);
}

static inline void store_first(float* p, Vector x, size_t n) {
  float lanes[4];
  store(lanes, x);
  for (size_t i = 0; i < n && i < 4; i++) p[i] = lanes[i];
}

// n is an integer up to 127; below -126 the result is 0.
static inline Vector times_power_of_two(Vector x, Vector n) {
  const int32x4_t exponent = vcvtq_s32_f32(vmaxq_f32(n, vdupq_n_f32(-127.0f)));
  return vmulq_f32(x, vreinterpretq_f32_s32(vshlq_n_s32(vaddq_s32(exponent, vdupq_n_s32(127)), 23)));
}

// Lanes begin <= lane < end of x, `other` elsewhere.
static inline Vector keep_between(Vector x, size_t begin, size_t end, Vector other) {
  return vbslq_f32(lanes_between(begin, end), x, other);
}

// The sums of the weights of kWidth columns, which are a 128th of their corrections.
using Integers = int32x4_t;
static inline Integers load_column_sums(const int32_t* corrections) { return vshrq_n_s32(vld1q_s32(corrections), 7); }

// The 32-bit integers whose bits are at `p`, less `zero` times `columns`, as floats.
static inline Vector load_corrected(const float* p, Integers columns, int32_t zero) {
  return vcvtq_f32_s32(vmlsq_n_s32(vreinterpretq_s32_f32(vld1q_f32(p)), columns, zero));
}

// To the 32-bit integers whose bits are at `p`: `factor` times the signed byte number `byte` of each group of four.
static inline void add_bytes(float* p, const char* groups, size_t byte, int32_t factor) {
  const int32x4_t up = vdupq_n_s32(static_cast<int32_t>(24 - 8 * byte));
  const int32x4_t raised = vshlq_s32(vreinterpretq_s32_s8(vld1q_s8(reinterpret_cast<const int8_t*>(groups))), up);
  const int32x4_t sums = vmlaq_n_s32(vreinterpretq_s32_f32(vld1q_f32(p)), vshrq_n_s32(raised, 24), factor);
  vst1q_f32(p, vreinterpretq_f32_s32(sums));
}

// Eight bytes of round(x) + zero, ties to even, kept within [0, 255].
static inline uint8x8_t to_bytes(Vector a, Vector b, int16x8_t zero) {
  const int16x8_t words = vcombine_s16(vqmovn_s32(vcvtnq_s32_f32(a)), vqmovn_s32(vcvtnq_s32_f32(b)));
  return vqmovun_s16(vqaddq_s16(words, zero));
}

// Bytes of round(x) + zero, ties to even, kept within [0, 255], of four vectors; |x| < 2^31.
static inline void store_bytes(uint8_t* p, Vector a, Vector b, Vector c, Vector d, int32_t zero) {
  const int16x8_t shift = vdupq_n_s16(static_cast<int16_t>(zero));
  vst1_u8(p, to_bytes(a, b, shift));
  vst1_u8(p + 8, to_bytes(c, d, shift));
}

static inline Vector load_bf16(const uint16_t* p) { return vreinterpretq_f32_u32(vshll_n_u16(vld1_u16(p), 16)); }

// The same, the elements of each pair swapped.
static inline Vector load_bf16_swapped(const uint16_t* p) {
  return vreinterpretq_f32_u32(vshll_n_u16(vrev32_u16(vld1_u16(p)), 16));
}

// Pairs of bf16 apart: low[i] = float(in[i] & 0xffff), high[i] = float(in[i] >> 16).
static inline void load_pairs(const uint32_t* in, Vector& low, Vector& high) {
  const uint32x4_t pairs = vld1q_u32(in);
  low = vreinterpretq_f32_u32(vshlq_n_u32(pairs, 16));
  high = vreinterpretq_f32_u32(vandq_u32(pairs, vdupq_n_u32(0xffff0000)));
}

// Nearest, ties to even. NaN is not expected here.
static inline uint16x4_t to_bf16(Vector x) {
  const uint32x4_t bits = vreinterpretq_u32_f32(x);
  const uint32x4_t odd = vandq_u32(vshrq_n_u32(bits, 16), vdupq_n_u32(1));
  return vshrn_n_u32(vaddq_u32(bits, vaddq_u32(odd, vdupq_n_u32(0x7fff))), 16);
}

static inline void store_bf16(uint16_t* p, Vector x) { vst1_u16(p, to_bf16(x)); }

// Two bf16 rows woven into pairs: out[i] = low[i] | high[i] << 16.
static inline void store_pairs(uint32_t* out, Vector low, Vector high) {
  vst1q_u32(out, vorrq_u32(vmovl_u16(to_bf16(low)), vshll_n_u16(to_bf16(high), 16)));
}

// Transposes 16 x 16 32-bit groups: out[column * out_stride + row] = in[row * 16 + column] for rows [0, rows).
static inline void store_transposed(const uint32_t* in, uint32_t* out, size_t out_stride, size_t rows) {
  for (size_t row = 0; row < rows; row += 4)
    for (size_t column = 0; column < 16; column += 4) {
      const float* from = reinterpret_cast<const float*>(in + row * 16 + column);
      const float32x4x2_t a = vtrnq_f32(load(from), load(from + 16)), b = vtrnq_f32(load(from + 32), load(from + 48));
      const Vector columns[4] = {
          vcombine_f32(vget_low_f32(a.val[0]), vget_low_f32(b.val[0])), vcombine_f32(vget_low_f32(a.val[1]), vget_low_f32(b.val[1])),
          vcombine_f32(vget_high_f32(a.val[0]), vget_high_f32(b.val[0])), vcombine_f32(vget_high_f32(a.val[1]), vget_high_f32(b.val[1]))};
      for (size_t i = 0; i < 4; i++) {
        float* to = reinterpret_cast<float*>(out + (column + i) * out_stride + row);
        if (rows - row >= 4) store(to, columns[i]);
        else store_first(to, columns[i], rows - row);
      }
    }
}
