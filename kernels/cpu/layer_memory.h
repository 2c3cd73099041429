// The scratch memory of one layer: q, k and v; and of each pass over rows its blocks of them, for each thread one head on its
// way out of its product, and what threads that share the columns of a product agree by.
#pragma once
#include <vector>

#include "kernels.h"
#include "layer_shape.h"
#include "layer_tables.h"
#include "memory.h"
#include "shared_units.h"

namespace strizh {

// The rows that one pass works on.
struct Block {
  size_t first, rows;
  PackedRows input;    // the layer's input, then the feed-forward's
  PackedRows context;  // attention's output
  PackedRows inner;    // the feed-forward's intermediate
  float* residual;     // [rows][hidden_padded]
};

inline PackedRows from_row(PackedRows packed, size_t row) {
  return {packed.data + row * kLineBytes, packed.stride, packed.codes + row};
}

// The products whose columns threads may share.
enum class Product : size_t { qkv, output, up, down };
constexpr size_t kProducts = 4;

// Blocks at the same time, and the rows of the largest.
struct PassSize {
  size_t blocks, rows;
};

// What one pass works in.
class PassMemory {
 public:
  // For `members` threads; without a base, only the size of it.
  PassMemory(const LayerShape& shape, PassSize size, size_t members, SharedUnits::Part* parts, char* base);

  Block block(size_t index, size_t first, size_t rows) const;
  Block slice(const Block& b, size_t begin, size_t end) const;  // some of its rows
  float* head(size_t member) const { return heads_ + member * capacity_ * shape_.width; }
  SharedUnits::Part* parts(Product product) const { return parts_ + static_cast<size_t>(product) * members_; }
  size_t bytes() const { return bytes_; }

 private:
  PackedRows packed(Carver& carver, size_t columns) const;
  Block place_block(Carver& carver, size_t first, size_t rows) const;

  const LayerShape& shape_;
  const size_t capacity_, members_;
  SharedUnits::Part* parts_;
  size_t block_bytes_, bytes_;
  char* blocks_;
  float* heads_;
};

class LayerMemory {
 public:
  // For `queries` rows that attend, and passes one after the other, which work in the same memory.
  LayerMemory(const LayerShape& shape, const LayerTables& tables, size_t queries, size_t members, const std::vector<PassSize>& passes);

  PassMemory pass(size_t index) const;
  PackedRows query(size_t head, size_t row) const;
  char* key(size_t head, size_t text) const;    // first panel of 32 keys
  char* value(size_t head, size_t text) const;  // first panel of 32 columns
  size_t value_stride() const { return tables_.panels() * shape_.value_bytes; }  // bytes to the next

 private:
  size_t place(char* base);

  const LayerShape& shape_;
  const LayerTables& tables_;
  const size_t query_rows_, members_;
  const std::vector<PassSize> passes_;
  Scratch scratch_;
  char *query_, *key_, *value_, *work_;
  SharedUnits::Part* parts_;
};

}  // namespace strizh
