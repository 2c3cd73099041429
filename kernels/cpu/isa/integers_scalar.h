// The 8-bit product of one tile in plain C++, for instruction sets without a better one: int32 sums of unsigned bytes
// times signed ones.
static void product_integers(size_t rows, const char* a, size_t a_stride, const char* b, size_t lines, float* c, size_t c_stride) {
  for (size_t row = 0; row < rows; row++) {
    int32_t sums[kPanelColumns] = {};
    for (size_t group = 0; group < lines * kLineGroups; group++) {
      const auto* left = reinterpret_cast<const uint8_t*>(a) + group / kLineGroups * a_stride + row * kLineBytes +
                         group % kLineGroups * kGroupBytes;
      const auto* right = reinterpret_cast<const int8_t*>(b) + group * kPanelColumns * kGroupBytes;
      for (size_t column = 0; column < kPanelColumns; column++, right += kGroupBytes)
        for (size_t i = 0; i < kGroupBytes; i++) sums[column] += left[i] * right[i];
    }
    __builtin_memcpy(c + row * c_stride, sums, sizeof sums);
  }
}
