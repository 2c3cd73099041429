// The stages of a layer in their order, each for a part of a block: some of its rows, heads or panels of columns.
#pragma once
#include "api.h"
#include "kernels.h"
#include "layer_memory.h"
#include "layer_rows.h"
#include "layer_shape.h"
#include "layer_tables.h"
#include "shared_units.h"

namespace strizh {

class LayerStages {
 public:
  LayerStages(const StrizhEncoderLayer& layer, const LayerShape& shape, const LayerTables& tables, const LayerRows& rows,
              const LayerMemory& memory, const Kernels& isa, const float* hidden, float* out);

  void load(const Block& b, size_t begin, size_t end) const;
  void begin_residual(const Block& b, size_t begin, size_t end) const;
  void project(const Block& b, float* sums, Piece heads) const;  // heads of q, then of k, then of v
  void attend(const Block& b, size_t first_head, size_t last_head) const;
  bool quantize_context(const Block& b, size_t begin, size_t end) const;  // whether the next product asks for it
  void output(const Block& b, Piece panels) const;
  void between(const Block& b, size_t begin, size_t end) const;
  void up(const Block& b, Piece panels) const;  // of its result
  bool quantize_inner(const Block& b, size_t begin, size_t end) const;
  void down(const Block& b, Piece panels) const;
  void finish(const Block& b, size_t begin, size_t end) const;

 private:
  void keep_head(size_t unit, size_t text, size_t position, size_t row, const float* in, size_t rows) const;
  bool quantize(const StrizhLinear& consumer, PackedRows packed, size_t size, size_t begin, size_t end) const;
  void add_product(const Block& b, const StrizhLinear& weights, size_t k, PackedRows a, Piece panels) const;

  Precision precision_of(const StrizhLinear& weights) const;
  LinearCall linear_call(const StrizhLinear& weights, size_t k, PackedRows a, size_t rows, Piece panels) const;
  NormCall norm_call(const StrizhNorm& norm, bool apply, const float* in, size_t in_stride, size_t rows) const;
  void pack_for(const StrizhLinear& consumer, PackedRows packed, NormCall& call) const;

  const StrizhEncoderLayer& layer_;
  const LayerShape& shape_;
  const LayerTables& tables_;
  const LayerRows& rows_;
  const LayerMemory& memory_;
  const Kernels& isa_;
  const float* hidden_;
  float* out_;
};

}  // namespace strizh
