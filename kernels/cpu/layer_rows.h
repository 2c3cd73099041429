// The rows that a pass through a layer works on: every token of the batch, or one token of each text that has any.
#pragma once
#include <algorithm>
#include <vector>

#include "batch.h"
#include "head.h"

namespace strizh {

class LayerRows {
 public:
  explicit LayerRows(const Batch& batch) : batch_(batch), rows_(Rows::all), count_(batch.tokens) {}

  // The first token of each text (cls), or the last.
  LayerRows(const Batch& batch, Pooling token)
      : batch_(batch), rows_(token == Pooling::last ? Rows::last : Rows::first), count_(0) {
    for (size_t text = 0; text < batch.texts; text++)
      if (batch.length(text)) texts_.push_back(text);
    count_ = texts_.size();
  }

  size_t count() const { return count_; }
  const Batch& batch() const { return batch_; }

  // Calls visit(row, rows, token, out): rows that follow each other here do so from `token` on in the layer's input, and from
  // row `out` on in its output.
  template <typename Visit>
  void for_each_run(size_t begin, size_t end, Visit visit) const {
    if (rows_ == Rows::all) return visit(begin, end - begin, begin, begin);
    for (size_t row = begin; row < end; row++) visit(row, 1, batch_.begin(texts_[row]) + position(row), texts_[row]);
  }

  // Calls visit(text, position in it, row, rows) for the texts that these rows are of.
  template <typename Visit>
  void for_each_text(size_t begin, size_t end, Visit visit) const {
    if (rows_ != Rows::all) {
      for (size_t row = begin; row < end; row++) visit(texts_[row], position(row), row, 1);
      return;
    }
    size_t text = batch_.text_of(begin);
    for (size_t row = begin; row < end; text++) {
      const size_t position = row - batch_.begin(text), rows = std::min(batch_.length(text) - position, end - row);
      if (rows) visit(text, position, row, rows);
      row += rows;
    }
  }

 private:
  enum class Rows { all, first, last };  // tokens of a text

  // Of a row that is a text's only one.
  size_t position(size_t row) const { return rows_ == Rows::last ? batch_.length(texts_[row]) - 1 : 0; }

  const Batch& batch_;
  Rows rows_;
  size_t count_;
  std::vector<size_t> texts_;  // that have tokens, one a row; unless the rows are all tokens
};

}  // namespace strizh
