#include "layer_memory.h"

#include <algorithm>

namespace strizh {

namespace {

constexpr size_t kRowSlack = 32;  // a tile may read, never use, rows behind the last

}  // namespace

PassMemory::PassMemory(const LayerShape& shape, PassSize size, size_t members, SharedUnits::Part* parts, char* base)
    : shape_(shape), capacity_(size.rows + kRowSlack), members_(members), parts_(parts) {
  Carver one(nullptr), all(base);
  place_block(one, 0, 0);
  block_bytes_ = one.taken();
  blocks_ = all.take<char>(size.blocks * block_bytes_);
  heads_ = all.take<float>(members * capacity_ * shape.width);
  bytes_ = all.taken();
}

Block PassMemory::block(size_t index, size_t first, size_t rows) const {
  Carver carver(blocks_ + index * block_bytes_);
  return place_block(carver, first, rows);
}

Block PassMemory::slice(const Block& b, size_t begin, size_t end) const {
  return {b.first + begin, end - begin, from_row(b.input, begin), from_row(b.context, begin), from_row(b.inner, begin),
          b.residual + begin * shape_.hidden_padded};
}

Block PassMemory::place_block(Carver& carver, size_t first, size_t rows) const {
  return {first, rows, packed(carver, shape_.hidden_padded), packed(carver, shape_.context()), packed(carver, shape_.inner_padded),
          carver.take<float>(capacity_ * shape_.hidden_padded)};
}

// Room for rows in the layer's precision: 8-bit ones, made in the same memory, are shorter.
PackedRows PassMemory::packed(Carver& carver, size_t columns) const {
  const size_t stride = capacity_ * kLineBytes;
  return {carver.take<char>(lines_of(columns, shape_.precision) * stride), stride, carver.take<RowCodes>(capacity_)};
}

LayerMemory::LayerMemory(const LayerShape& shape, const LayerTables& tables, size_t queries, size_t members,
                         const std::vector<PassSize>& passes)
    : shape_(shape), tables_(tables), query_rows_(queries + kRowSlack), members_(members), passes_(passes) {
  place(scratch_.reserve(place(nullptr)));
}

size_t LayerMemory::place(char* base) {
  Carver carver(base);
  query_ = carver.take<char>(shape_.heads * shape_.head_lines * query_rows_ * kLineBytes);
  key_ = carver.take<char>(shape_.kv_heads * tables_.panels() * shape_.key_bytes);
  value_ = carver.take<char>(shape_.kv_heads * shape_.head_panels() * value_stride());
  parts_ = carver.take<SharedUnits::Part>(passes_.size() * kProducts * members_);
  size_t most = 0;
  for (const PassSize& size : passes_) most = std::max(most, PassMemory(shape_, size, members_, nullptr, nullptr).bytes());
  work_ = carver.take<char>(most);
  return carver.taken();
}

PassMemory LayerMemory::pass(size_t index) const {
  return PassMemory(shape_, passes_[index], members_, parts_ + index * kProducts * members_, work_);
}

PackedRows LayerMemory::query(size_t head, size_t row) const {
  return {query_ + (head * shape_.head_lines * query_rows_ + row) * kLineBytes, query_rows_ * kLineBytes, nullptr};
}

char* LayerMemory::key(size_t head, size_t text) const {
  return key_ + (head * tables_.panels() + tables_.first_panel(text)) * shape_.key_bytes;
}

char* LayerMemory::value(size_t head, size_t text) const {
  return value_ + (head * shape_.head_panels() * tables_.panels() + tables_.first_panel(text)) * shape_.value_bytes;
}

}  // namespace strizh
