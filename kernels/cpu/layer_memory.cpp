#include "layer_memory.h"

namespace strizh {

namespace {

constexpr size_t kRowSlack = 32;  // a tile may read, never use, rows behind the last

}  // namespace

LayerMemory::LayerMemory(const LayerShape& shape, const LayerTables& tables, size_t tokens, size_t blocks, size_t rows, size_t members)
    : shape_(shape), tables_(tables), query_rows_(tokens + kRowSlack), capacity_(rows + kRowSlack), blocks_(blocks), members_(members) {
  Carver sizes(nullptr);
  place_block(sizes, 0, 0);
  block_bytes_ = sizes.taken();
  place(scratch_.reserve(place(nullptr)));
}

size_t LayerMemory::place(char* base) {
  Carver carver(base);
  query_ = carver.take<char>(shape_.heads * shape_.head_lines * query_rows_ * kLineBytes);
  key_ = carver.take<char>(shape_.kv_heads * tables_.panels() * shape_.key_bytes);
  value_ = carver.take<char>(shape_.kv_heads * shape_.head_panels() * value_stride());
  block_ = carver.take<char>(blocks_ * block_bytes_);
  heads_ = carver.take<float>(members_ * capacity_ * shape_.width);
  parts_ = carver.take<SharedUnits::Part>(kProducts * members_);
  return carver.taken();
}

Block LayerMemory::block(size_t index, size_t first, size_t rows) const {
  Carver carver(block_ + index * block_bytes_);
  return place_block(carver, first, rows);
}

Block LayerMemory::slice(const Block& b, size_t begin, size_t end) const {
  return {b.first + begin, end - begin, from_row(b.input, begin), from_row(b.context, begin), from_row(b.inner, begin),
          b.residual + begin * shape_.hidden_padded};
}

Block LayerMemory::place_block(Carver& carver, size_t first, size_t rows) const {
  return {first, rows, packed(carver, shape_.hidden_padded), packed(carver, shape_.context()), packed(carver, shape_.inner_padded),
          carver.take<float>(capacity_ * shape_.hidden_padded)};
}

// Room for rows in the layer's precision: 8-bit ones, made in the same memory, are shorter.
PackedRows LayerMemory::packed(Carver& carver, size_t columns) const {
  const size_t stride = capacity_ * kLineBytes;
  return {carver.take<char>(lines_of(columns, shape_.precision) * stride), stride, carver.take<RowCodes>(capacity_)};
}

PackedRows LayerMemory::query(size_t head, size_t token) const {
  return {query_ + (head * shape_.head_lines * query_rows_ + token) * kLineBytes, query_rows_ * kLineBytes, nullptr};
}

char* LayerMemory::key(size_t head, size_t text) const {
  return key_ + (head * tables_.panels() + tables_.first_panel(text)) * shape_.key_bytes;
}

char* LayerMemory::value(size_t head, size_t text) const {
  return value_ + (head * shape_.head_panels() * tables_.panels() + tables_.first_panel(text)) * shape_.value_bytes;
}

}  // namespace strizh
