// The product of one tile in plain C++. Included inside an instruction set's namespace, after vector_scalar.h.
#include "integers_scalar.h"

enum : size_t { kTileRows = 8 };
enum : size_t { kFetchingTiles = 1 };
enum : size_t { kLinesAtOnce = 0, kTilesInParts = 1 };
enum : bool { kOverlapsEpilogue = false };

static inline size_t tile_edge(size_t rows, size_t tile) { return tile * kTileRows < rows ? tile * kTileRows : rows; }

template <Precision precision>
static void product_tile(size_t rows, const char* a, size_t a_stride, const char* b, size_t lines, float* c,
                         size_t c_stride, bool accumulate, Fetch) {
  if constexpr (precision == Precision::int8) return product_integers(rows, a, a_stride, b, lines, c, c_stride);
  for (size_t row = 0; row < rows; row++) {
    float* out = c + row * c_stride;
    if (!accumulate)
      for (size_t column = 0; column < kPanelColumns; column++) out[column] = 0;
    for (size_t group = 0; group < lines * kLineGroups; group++) {
      const char* left = a + group / kLineGroups * a_stride + row * kLineBytes + group % kLineGroups * kGroupBytes;
      const char* right = b + group * kPanelColumns * kGroupBytes;
      for (size_t column = 0; column < kPanelColumns; column++, right += kGroupBytes) {
        if constexpr (precision == Precision::fp32) {
          out[column] += *reinterpret_cast<const float*>(left) * *reinterpret_cast<const float*>(right);
        } else {
          const auto *x = reinterpret_cast<const uint16_t*>(left), *y = reinterpret_cast<const uint16_t*>(right);
          out[column] += from_bf16(x[1]) * from_bf16(y[1]);
          out[column] += from_bf16(x[0]) * from_bf16(y[0]);
        }
      }
    }
  }
}
