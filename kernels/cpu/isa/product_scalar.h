// The product of one tile in plain C++. Included inside an instruction set's namespace, after vector_scalar.h.
#include "integers_scalar.h"

enum : size_t { kTileRows = 8 };
enum : size_t { kFetchingTiles = 1 };
enum : size_t { kLinesAtOnce = 0, kTilesInParts = 1 };
enum : bool { kOverlapsEpilogue = false, kTakesOperandsApart = false };

static inline size_t tile_edge(size_t rows, size_t tile) { return tile * kTileRows < rows ? tile * kTileRows : rows; }

// bf16 as AMX's tiles add it: kernels.h.
static inline void product_in_tiles_order(size_t rows, const char* a, size_t a_stride, const char* b, size_t lines, float* c,
                                          size_t c_stride, bool accumulate) {
  for (size_t line = 0; line < lines; line++, a += a_stride, b += panel_bytes(1))
    for (size_t row = 0; row < rows; row++) {
      float even[kPanelColumns] = {}, odd[kPanelColumns] = {}, *out = c + row * c_stride;
      const auto *x = reinterpret_cast<const uint16_t*>(a + row * kLineBytes), *y = reinterpret_cast<const uint16_t*>(b);
      for (size_t group = 0; group < kLineGroups; group++, x += 2)
        for (size_t column = 0; column < kPanelColumns; column++, y += 2) {
          even[column] += from_bf16(x[0]) * from_bf16(y[0]);
          odd[column] += from_bf16(x[1]) * from_bf16(y[1]);
        }
      for (size_t column = 0; column < kPanelColumns; column++)
        out[column] = (accumulate || line ? out[column] : 0.0f) + (even[column] + odd[column]);
    }
}

template <Precision precision>
static void product_tile(size_t rows, const char* a, size_t a_stride, const char* b, size_t lines, float* c,
                         size_t c_stride, bool accumulate, SumOrder order, Fetch) {
  if constexpr (precision == Precision::int8) return product_integers(rows, a, a_stride, b, lines, c, c_stride);
  if (precision == Precision::bf16 && order == SumOrder::tiles)
    return product_in_tiles_order(rows, a, a_stride, b, lines, c, c_stride, accumulate);
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
