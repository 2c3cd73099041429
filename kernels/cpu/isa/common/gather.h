// Rows of the embedding tables.

template <typename Load>
static inline void gather_rows(const GatherCall& call, Load table) {
  for (size_t r = 0; r < call.rows; r++) {
    const size_t word = static_cast<size_t>(call.ids[r]) * call.size;
    const size_t position = call.position ? static_cast<size_t>(call.position_rows[r]) * call.size : 0;
    for (size_t c = 0; c < call.size; c++) {
      const float x = table(call.word, word + c);
      call.out[r * call.size + c] = call.position ? x + table(call.position, position + c) : x;
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

static void gather(const GatherCall& call) {
  if (call.precision == Precision::fp32) gather_rows(call, element_fp32);
  else gather_rows(call, element_bf16);
}
