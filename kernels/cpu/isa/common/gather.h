// Rows of the embedding tables.

template <typename Word, typename Position>
static inline void gather_rows(const GatherCall& call, Word word_at, Position position_at) {
  for (size_t r = 0; r < call.rows; r++) {
    const size_t id = static_cast<size_t>(call.ids[r]), word = id * call.size;
    const size_t position = call.position ? static_cast<size_t>(call.position_rows[r]) * call.size : 0;
    const float scale = call.word_scale ? call.word_scale[id] : 1.0f;
    for (size_t c = 0; c < call.size; c++) {
      const float x = word_at(call.word, word + c) * scale;
      call.out[r * call.size + c] = call.position ? x + position_at(call.position, position + c) : x;
    }
  }
}

static inline float element_fp32(const void* table, size_t i) { return static_cast<const float*>(table)[i]; }

static inline float element_bf16(const void* table, size_t i) {
  const uint32_t bits = static_cast<uint32_t>(static_cast<const uint16_t*>(table)[i]) << 16;
  float x;
  __builtin_memcpy(&x, &bits, sizeof x);
  return x;
}

static inline float element_int8(const void* table, size_t i) { return static_cast<const int8_t*>(table)[i]; }

static void gather(const GatherCall& call) {
  const bool fp32 = call.precision == Precision::fp32;
  if (call.word_scale && fp32) gather_rows(call, element_int8, element_fp32);
  else if (call.word_scale) gather_rows(call, element_int8, element_bf16);
  else if (fp32) gather_rows(call, element_fp32, element_fp32);
  else gather_rows(call, element_bf16, element_bf16);
}
