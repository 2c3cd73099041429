// How a layer is cut. Rows of the batch (tokens) are independent but for attention, so there are two ways:
//
//   blocks   Many rows: each thread takes a block of rows through everything, once to q, k and v, and, when all keys
//            are there, once from attention to the end. A block's intermediate values never leave its core's cache.
//   columns  Few rows: all threads work on the same rows and share the columns of each product, so that every weight
//            is read once, with a barrier between one product and the next.
//
// Both compute each element by the same sums in the same order.
#include "encoder_layer.h"

#include <algorithm>
#include <atomic>

#include "isa.h"
#include "layer_memory.h"
#include "layer_stages.h"
#include "shared_units.h"
#include "team.h"

namespace strizh {

namespace {

struct Cut {
  Cut(const LayerShape& shape, const Kernels& isa, size_t tokens) {
    const size_t team = threads();
    // A thread wants a few panels of the narrowest product, or else its own rows, if they fill a tile or two.
    const size_t shared_rows = shape.hidden_panels() < 4 * team ? std::min<size_t>(isa.shared_rows, 32) : isa.shared_rows;
    columns = team > 1 && tokens < team * shared_rows;
    // As many blocks as fill the team evenly.
    blocks = columns ? 1 : divide_up(divide_up(tokens, isa.block_rows), team) * team;
    members = columns ? team : std::min(team, blocks);
  }

  bool columns;
  size_t blocks, members;
};

Piece all(size_t units) { return {0, units, units}; }

void block_to_heads(const LayerStages& layer, const LayerShape& shape, const Block& b, float* head) {
  layer.load(b, 0, b.rows);
  layer.project(b, head, all(shape.units()));
}

void block_from_attention(const LayerStages& layer, const LayerShape& shape, const Block& b) {
  layer.attend(b, 0, shape.heads);
  layer.begin_residual(b, 0, b.rows);
  layer.quantize_context(b, 0, b.rows);
  layer.output(b, all(shape.hidden_panels()));
  layer.between(b, 0, b.rows);
  layer.up(b, all(shape.inner_panels()));
  layer.quantize_inner(b, 0, b.rows);
  layer.down(b, all(shape.hidden_panels()));
  layer.finish(b, 0, b.rows);
}

// The products of a layer, whose units the threads share, to a slice of 32 rows in the end.
struct SharedProducts {
  SharedProducts(const LayerShape& shape, const LayerMemory& memory, size_t rows, size_t members)
      : slices(std::max<size_t>(1, rows / kSliceRows)),
        qkv(shape.units(), slices, members, memory.parts(Product::qkv)),
        output(shape.hidden_panels(), slices, members, memory.parts(Product::output)),
        up(shape.inner_panels(), slices, members, memory.parts(Product::up)),
        down(shape.hidden_panels(), slices, members, memory.parts(Product::down)) {}

  static constexpr size_t kSliceRows = 32;
  size_t slices;
  SharedUnits qkv, output, up, down;
};

void share_columns(const LayerStages& layer, const LayerShape& shape, const LayerMemory& memory, const SharedProducts& products,
                   size_t rows, const Member& me) {
  const Block b = memory.block(0, 0, rows);
  const size_t begin = share(rows, me.index, me.count), end = share(rows, me.index + 1, me.count);
  const auto rows_of = [&](const Piece& p) { return memory.slice(b, share(rows, p.slice, p.slices), share(rows, p.slice + 1, p.slices)); };
  layer.load(b, begin, end);
  layer.begin_residual(b, begin, end);
  me.barrier();
  products.qkv.take(me, [&](const Piece& heads) { layer.project(rows_of(heads), memory.head(me.index), heads); });
  me.barrier();
  layer.attend(b, share(shape.heads, me.index, me.count), share(shape.heads, me.index + 1, me.count));
  me.barrier();
  if (layer.quantize_context(b, begin, end)) me.barrier();
  products.output.take(me, [&](const Piece& panels) { layer.output(rows_of(panels), panels); });
  me.barrier();
  layer.between(b, begin, end);
  me.barrier();
  products.up.take(me, [&](const Piece& panels) { layer.up(rows_of(panels), panels); });
  me.barrier();
  if (layer.quantize_inner(b, begin, end)) me.barrier();
  products.down.take(me, [&](const Piece& panels) { layer.down(rows_of(panels), panels); });
  me.barrier();
  layer.finish(b, begin, end);
}

}  // namespace

void encoder_layer(const StrizhEncoderLayer& layer, const Batch& batch, const float* hidden, float* out) {
  const size_t tokens = batch.tokens;
  if (tokens == 0) return;
  const Kernels& isa = kernels();
  const LayerShape shape(layer);
  const LayerTables tables(layer, batch);
  const Cut cut(shape, isa, tokens);
  const LayerMemory memory(shape, tables, tokens, cut.columns ? 1 : cut.members, divide_up(tokens, cut.blocks), cut.members);
  const LayerStages stages(layer, shape, tables, batch, memory, isa, hidden, out);
  const SharedProducts products(shape, memory, tokens, cut.members);
  std::atomic<size_t> next_to_heads{0}, next_from_attention{0};
  run_team(cut.members, [&](const Member& me) {
    const Products enabled(isa);
    if (cut.columns) return share_columns(stages, shape, memory, products, tokens, me);
    const auto block = [&](size_t i) {
      const size_t first = share(tokens, i, cut.blocks);
      return memory.block(me.index, first, share(tokens, i + 1, cut.blocks) - first);
    };
    for (size_t i; (i = next_to_heads.fetch_add(1)) < cut.blocks;) block_to_heads(stages, shape, block(i), memory.head(me.index));
    me.barrier();
    for (size_t i; (i = next_from_attention.fetch_add(1)) < cut.blocks;) block_from_attention(stages, shape, block(i));
  });
}

}  // namespace strizh
