// The packed layouts, shared by every instruction set. kernels/layout.py writes them at export.
//
// A matrix product reads 32-bit groups: one float, two bf16 or four 8-bit integers that follow each other in k.
//
//   packed rows (operand A, activations)      [k line][row][64 bytes]
//       A line is 64 bytes of one row: 16 groups. Lines of neighbouring rows lie side by side, so the rows of one
//       register tile (or one AMX tile of 16 rows) are one contiguous run of memory at each step in k.
//   panels (operand B, weights)               [column / 32][k group][32 columns][4 bytes]
//       One step in k reads 128 contiguous bytes. k is padded with zeros to whole lines, columns to whole panels.
//       AMX loads a 16-column tile from it with a row stride of 128 bytes.
//
// Rows of 8-bit integers are unsigned bytes, each row with a scale and a zero of its own: x = (byte - zero) * scale, 0 among
// them (kernels.h: `RowCodes`). A panel of 8-bit integers ends with 32 float scales and 32 int32 corrections, 128 times the
// sum of each column: what the product has too much where a row's zero is 128, and in proportion elsewhere.
//
// Heads are padded to `head_width`, a multiple of 32, so that a head is a whole number of panels on the way out of the
// query/key/value product and a whole number of lines on the way into the output product. Within a head of q and k the
// two halves that rotary embedding combines begin at 0 and at head_width / 2 (a dot product does not mind the order).
#pragma once
#include <cstddef>
#include <cstdint>

namespace strizh {

enum class Precision : int32_t { fp32 = 0, bf16 = 1, int8 = 2 };

enum : size_t { kLineBytes = 64, kLineGroups = 16, kPanelColumns = 32, kGroupBytes = 4 };
enum : size_t { kPanelScalesBytes = kPanelColumns * (sizeof(float) + sizeof(int32_t)) };

static constexpr size_t elements_per_group(Precision p) { return p == Precision::fp32 ? 1 : p == Precision::bf16 ? 2 : 4; }
static constexpr size_t elements_per_line(Precision p) { return kLineGroups * elements_per_group(p); }
static constexpr size_t element_bytes(Precision p) { return kGroupBytes / elements_per_group(p); }
static constexpr size_t divide_up(size_t n, size_t unit) { return (n + unit - 1) / unit; }
static constexpr size_t lines_of(size_t k, Precision p) { return divide_up(k, elements_per_line(p)); }
static constexpr size_t panel_bytes(size_t lines) { return lines * kLineGroups * kPanelColumns * kGroupBytes; }
static constexpr size_t panel_bytes(size_t lines, Precision p) {
  return panel_bytes(lines) + (p == Precision::int8 ? size_t{kPanelScalesBytes} : 0);
}
static constexpr size_t padded(size_t n) { return divide_up(n, kPanelColumns) * kPanelColumns; }

}  // namespace strizh
