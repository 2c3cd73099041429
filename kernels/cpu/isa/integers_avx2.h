// The 8-bit product of one tile on AVX2. Bytes are spread to 16 bits, even and odd ones apart, and multiplied in pairs
// (vpmaddwd): the byte instruction, vpmaddubsw, saturates at 32767, and 2 * 255 * 127 is twice that.
enum : size_t { kIntegerRows = 4, kIntegerColumns = 16, kIntegers = 8 };

template <size_t rows>
static void product_integer_rows(const char* a, size_t a_stride, const char* b, size_t lines, float* c, size_t c_stride) {
  constexpr size_t vectors = kIntegerColumns / kIntegers;
  const __m256i even_bytes = _mm256_set1_epi16(0xff);
  __m256i sums[rows][vectors];
#pragma GCC unroll 4
  for (size_t r = 0; r < rows; r++)
#pragma GCC unroll 2
    for (size_t v = 0; v < vectors; v++) sums[r][v] = _mm256_setzero_si256();

  for (size_t line = 0; line < lines; line++, a += a_stride)
    for (size_t k = 0; k < kLineBytes; k += kGroupBytes, b += kPanelColumns * kGroupBytes) {
      __m256i even[vectors], odd[vectors];
#pragma GCC unroll 2
      for (size_t v = 0; v < vectors; v++) {
        const __m256i bytes = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(b) + v);
        even[v] = _mm256_srai_epi16(_mm256_slli_epi16(bytes, 8), 8);
        odd[v] = _mm256_srai_epi16(bytes, 8);
      }
#pragma GCC unroll 4
      for (size_t r = 0; r < rows; r++) {
        const __m256i group = _mm256_set1_epi32(*reinterpret_cast<const int32_t*>(a + r * kLineBytes + k));
        const __m256i low = _mm256_and_si256(group, even_bytes), high = _mm256_srli_epi16(group, 8);
#pragma GCC unroll 2
        for (size_t v = 0; v < vectors; v++)
          sums[r][v] = _mm256_add_epi32(sums[r][v], _mm256_add_epi32(_mm256_madd_epi16(low, even[v]), _mm256_madd_epi16(high, odd[v])));
      }
    }

#pragma GCC unroll 4
  for (size_t r = 0; r < rows; r++)
#pragma GCC unroll 2
    for (size_t v = 0; v < vectors; v++) _mm256_storeu_si256(reinterpret_cast<__m256i*>(c + r * c_stride) + v, sums[r][v]);
}

static void product_integers(size_t rows, const char* a, size_t a_stride, const char* b, size_t lines, float* c, size_t c_stride) {
  for (size_t column = 0; column < kPanelColumns; column += kIntegerColumns)
    for (size_t row = 0; row < rows; row += kIntegerRows) {
      const char *from = a + row * kLineBytes, *panel = b + column * kGroupBytes;
      float* to = c + row * c_stride + column;
      switch (rows - row) {
        case 1: product_integer_rows<1>(from, a_stride, panel, lines, to, c_stride); break;
        case 2: product_integer_rows<2>(from, a_stride, panel, lines, to, c_stride); break;
        case 3: product_integer_rows<3>(from, a_stride, panel, lines, to, c_stride); break;
        default: product_integer_rows<4>(from, a_stride, panel, lines, to, c_stride);
      }
    }
}
