// What an instruction set provides: one record of functions, `Kernels`. The operators (encoder_layer.cpp ...) are
// written against it once; nothing else in the library depends on the CPU.
//
// To add an instruction set, write one file isa/NAME.cpp that, inside its own namespace strizh::NAME,
//   1. includes a vector header (isa/vector_*.h: loads, stores, arithmetic on `kWidth` floats, bf16 conversion),
//   2. defines the matrix product of one tile,
//          template <Precision> void product_tile(size_t rows, const char* a, size_t a_stride, const char* b,
//                                                 size_t lines, float* c, size_t c_stride, bool accumulate,
//                                                 SumOrder order, Fetch fetch)
//      c[rows <= kTileRows][32] = (accumulate ? c : 0) + A B, A packed rows, B one panel of `lines` lines, in `order` if they are
//      bf16, and brings `fetch` into the second-level cache meanwhile (8-bit: c holds the bits of int32 sums of A's unsigned
//      bytes times B's; `accumulate` is false if kLinesAtOnce is 0); tile_edge(rows, tile), which cuts a block of rows into tiles;
//      kFetchingTiles: how many tiles of rows, the last ones, share the fetching of the next panel;
//      kLinesAtOnce: panels of twice as many lines are cut into parts of so many, each taken through all tiles, at most
//      kTilesInParts, before the next (0: never);
//      kOverlapsEpilogue: whether product_tile takes one more argument, a function to call between its steps; and
//      kTakesOperandsApart: whether bf16 operands of attention are stored for their product where the order is `tiles`, both of
//      them, every four neighbours in k as 2, 0, 3, 1: queries, keys and probabilities by store_bf16_apart, values so too,
//   3. includes isa/text.h (everything else, the same text for all) and names its record,
// then adds a line to the table in isa.cpp and to CMakeLists.txt. Each element of a product must be summed in one order
// whatever `rows` is: that is what makes a text's vector independent of its neighbours, bit for bit.
//
// An instruction-set file includes only <cstddef>, <cstdint>, its intrinsics and these headers, so that it emits no
// symbol that the linker could hand to an older CPU. All functions work on the caller's memory, single-threaded.
#pragma once
#include <cstddef>
#include <cstdint>

#include "layout.h"

namespace strizh {

enum class Activation : int32_t { identity = 0, gelu = 1, gelu_tanh = 2, silu = 3, relu = 4, tanh = 5, sigmoid = 6 };
enum class Norm : int32_t { none = 0, layer = 1, rms = 2 };

// How a bf16 product adds over k. `chain`: one sum, of each pair the second first, as vdpbf16ps does. `tiles`: as AMX's tdpbf16ps
// does, of each line the even k and the odd k apart, each sum from zero, then both, then that to what the lines before gave. In
// a graph with 8-bit products, where one float that rounds otherwise grows, everyone adds as AMX's tiles, which know no other order.
// `tiles_of_operands_apart` is `tiles` of two operands of attention that are stored as kTakesOperandsApart says.
enum class SumOrder { chain, tiles, tiles_of_operands_apart };

struct Linear {
  Precision precision;
  const char* panels;
  const float* bias;  // one a column, padding included; or null
  size_t lines;       // k
  SumOrder order;
};

// What the bytes of an 8-bit row stand for: x = (byte - zero) * scale, but for one value, `excess` steps beyond its byte.
struct RowCodes {
  float scale;
  int32_t zero, excess;
  uint32_t outlier;  // its column, where there is an excess
};

struct PackedRows {
  char* data;
  size_t stride;    // bytes from one line of a row to its next
  RowCodes* codes;  // one a row of 8-bit integers
};

// Weights that the next products will read; none where `begin` is null. Pages before `limit` may be met by a load even
// then (product_avx512.h says why); behind it nothing may be read.
struct Fetch {
  const char *begin, *end, *limit;
};

enum class Epilogue {
  store,     // out[row][column] = A B + bias
  add,       // out[row][column] += A B + bias
  activate,  // packed row, column = act(A B + bias)
  gate,      // panels come in pairs (gate, up): packed row, column = act(gate) * up
};

struct LinearCall {
  Linear weights;
  PackedRows a;
  size_t rows;
  size_t panel_begin, panel_end;
  size_t fetch_end;  // panels up to here follow, in this call or in the caller's next ones: worth fetching ahead
  Epilogue epilogue;
  Activation activation;
  float* out;  // column 0 of panel_begin for `store`, of panel 0 for `add`
  size_t out_stride;
  PackedRows packed;  // from column 0; bf16 where the weights are int8
};

// out = norm(in), as float rows and as packed rows; either may be absent. `size` real elements, weights padded to 32.
struct NormCall {
  Norm norm;
  const float *weight, *bias;
  float eps;
  const float* in;
  size_t in_stride, rows, size;
  float* out;
  size_t out_stride;
  PackedRows packed;
  Precision precision;
  const float* smoothing;  // of 8-bit packed rows: their columns are multiplied by it; or null
};

// bf16 rows, complete, to 8-bit ones in the same memory: what attention or the feed-forward left tile by tile.
struct QuantizeCall {
  PackedRows packed;
  size_t rows, size;  // columns, a multiple of 32
  const float* smoothing;
};

// One head of q, k or v for consecutive tokens of one text: float rows [rows][head_width] as the product left them.
struct HeadCall {
  Precision precision;
  SumOrder order;  // of the sums that attention will make
  const float* in;
  size_t in_stride, rows, head_width;
  const float* norm_weight;  // RMS norm over the head, or null; laid out as the head is
  size_t head_size;
  float eps;
  const float *cosine, *sine;  // [rows][head_width / 2] of these tokens, or null
  float scale;
  size_t position;   // of the first row in its text
  size_t text_rows;  // length of the text
  char* out;         // q: packed row of the first token; k, v: first panel of this text and head
  size_t stride;     // q: bytes between lines; v: bytes between panels of 32 columns
};

// softmax(q k^T + bias) v for consecutive queries of one text and head. Scores are in units of log2(e).
struct AttendCall {
  Precision precision;
  SumOrder order;
  PackedRows q;
  const char *k, *v;
  size_t v_stride;  // bytes between panels of 32 columns
  size_t head_width, rows, first_query, keys;
  size_t window;      // keys visible on each side; SIZE_MAX is all
  bool causal;
  const float* bias;  // bias[key - query], or null
  PackedRows out;     // packed rows of the output product
};

struct GatherCall {
  Precision precision;
  const void *word, *position;  // tables; position may be null
  const float* word_scale;      // of the rows of a word table of 8-bit integers, or null
  const int32_t *ids, *position_rows;
  size_t rows, size;
  float* out;
};

struct Kernels {
  const char* name;
  size_t block_rows;       // rows that a thread takes through a layer at once: their intermediate values fit its cache
  size_t shared_rows;      // with fewer rows for each thread, all threads share the columns of every product
  void (*enter)();         // what a thread does before it computes products,
  void (*leave)();         // and after; or null
  void (*linear)(const LinearCall&);
  void (*norm)(const NormCall&);
  void (*quantize)(const QuantizeCall&);
  void (*query)(const HeadCall&);
  void (*key)(const HeadCall&);
  void (*value)(const HeadCall&);
  void (*attend)(const AttendCall&);
  void (*gather)(const GatherCall&);
};

// Rows of attention that one AttendCall may have, and keys between two rescalings of its online softmax.
enum : size_t { kAttendRows = 96, kKeyBlock = 256, kMaxHeadWidth = 256 };

}  // namespace strizh
