// How a layer is cut. Rows of the batch (tokens) are independent but for attention, so there are two ways:
//
//   blocks   Many rows: each thread takes a block of rows through everything, once to q, k and v, and, when all keys
//            are there, once from attention to the end. A block's intermediate values never leave its core's cache.
//   columns  Few rows: all threads work on the same rows and share the columns of each product, so that every weight
//            is read once, with a barrier between one product and the next.
//
// Both compute each element by the same sums in the same order. A pooled layer makes two passes: one over all tokens, for k and
// v alone, and one over the token of each text that is wanted, for the rest; each is cut by how many rows it has.
#include "encoder_layer.h"

#include <algorithm>
#include <atomic>
#include <string>

#include "error.h"
#include "isa.h"
#include "layer_memory.h"
#include "layer_stages.h"
#include "shared_units.h"
#include "team.h"

namespace strizh {

namespace {

struct Cut {
  Cut(const LayerShape& shape, const Kernels& isa, size_t row_count, size_t team) : rows(row_count) {
    // A thread wants a few panels of the narrowest product, or else its own rows, if they fill a tile or two.
    const size_t shared_rows = shape.hidden_panels() < 4 * team ? std::min<size_t>(isa.shared_rows, 32) : isa.shared_rows;
    columns = team > 1 && rows < team * shared_rows;
    // As many blocks as fill the team evenly.
    blocks = columns ? 1 : divide_up(divide_up(rows, isa.block_rows), team) * team;
    size = {columns ? 1 : team, divide_up(rows, blocks)};
  }

  size_t rows;
  bool columns;
  size_t blocks;
  PassSize size;
};

// Consecutive heads of q, then of k, then of v.
struct Heads {
  size_t begin, end;
};

// The products of a layer, whose units the threads share, to a slice of 32 rows in the end.
struct SharedProducts {
  SharedProducts(const LayerShape& shape, const PassMemory& memory, size_t rows, Heads heads, size_t members)
      : slices(std::max<size_t>(1, rows / kSliceRows)),
        qkv(heads.end - heads.begin, slices, members, memory.parts(Product::qkv)),
        output(shape.hidden_panels(), slices, members, memory.parts(Product::output)),
        up(shape.inner_panels(), slices, members, memory.parts(Product::up)),
        down(shape.hidden_panels(), slices, members, memory.parts(Product::down)) {}

  static constexpr size_t kSliceRows = 32;
  size_t slices;
  SharedUnits qkv, output, up, down;
};

// Rows on their way through a layer, with a barrier between one half and the other, and behind the pass if another follows.
class Pass {
 public:
  Pass(const LayerShape& shape, const Cut& cut, Heads heads, const LayerStages& layer, const PassMemory& memory, size_t members)
      : shape_(shape), cut_(cut), heads_(heads), layer_(layer), memory_(memory), products_(shape, memory_, cut.rows, heads, members) {}

  void to_heads(const Member& me) {
    if (cut_.columns) return share_to_heads(me);
    for (size_t i; (i = next_to_heads_.fetch_add(1)) < cut_.blocks;) {
      const Block b = block(me, i);
      layer_.load(b, 0, b.rows);
      layer_.project(b, memory_.head(me.index), {heads_.begin, heads_.end, heads_.end});
    }
  }

  void from_attention(const Member& me) {
    if (cut_.columns) return share_from_attention(me);
    for (size_t i; (i = next_from_attention_.fetch_add(1)) < cut_.blocks;) {
      const Block b = block(me, i);
      layer_.attend(b, 0, shape_.heads);
      layer_.begin_residual(b, 0, b.rows);
      layer_.quantize_context(b, 0, b.rows);
      layer_.output(b, all(shape_.hidden_panels()));
      layer_.between(b, 0, b.rows);
      layer_.up(b, all(shape_.inner_panels()));
      layer_.quantize_inner(b, 0, b.rows);
      layer_.down(b, all(shape_.hidden_panels()));
      layer_.finish(b, 0, b.rows);
    }
  }

 private:
  static Piece all(size_t units) { return {0, units, units}; }

  Block block(const Member& me, size_t i) const {
    const size_t first = share(cut_.rows, i, cut_.blocks);
    return memory_.block(me.index, first, share(cut_.rows, i + 1, cut_.blocks) - first);
  }

  Block rows_of(const Block& b, const Piece& p) const {
    return memory_.slice(b, share(b.rows, p.slice, p.slices), share(b.rows, p.slice + 1, p.slices));
  }

  void share_to_heads(const Member& me) const {
    const Block b = memory_.block(0, 0, cut_.rows);
    layer_.load(b, share(b.rows, me.index, me.count), share(b.rows, me.index + 1, me.count));
    me.barrier();
    products_.qkv.take(me, [&](const Piece& p) {
      layer_.project(rows_of(b, p), memory_.head(me.index), {heads_.begin + p.begin, heads_.begin + p.end, heads_.begin + p.limit});
    });
  }

  void share_from_attention(const Member& me) const {
    const Block b = memory_.block(0, 0, cut_.rows);
    const size_t begin = share(b.rows, me.index, me.count), end = share(b.rows, me.index + 1, me.count);
    layer_.attend(b, share(shape_.heads, me.index, me.count), share(shape_.heads, me.index + 1, me.count));
    layer_.begin_residual(b, begin, end);
    me.barrier();
    if (layer_.quantize_context(b, begin, end)) me.barrier();
    products_.output.take(me, [&](const Piece& panels) { layer_.output(rows_of(b, panels), panels); });
    me.barrier();
    layer_.between(b, begin, end);
    me.barrier();
    products_.up.take(me, [&](const Piece& panels) { layer_.up(rows_of(b, panels), panels); });
    me.barrier();
    if (layer_.quantize_inner(b, begin, end)) me.barrier();
    products_.down.take(me, [&](const Piece& panels) { layer_.down(rows_of(b, panels), panels); });
    me.barrier();
    layer_.finish(b, begin, end);
  }

  const LayerShape& shape_;
  const Cut& cut_;
  const Heads heads_;
  const LayerStages& layer_;
  const PassMemory memory_;
  const SharedProducts products_;
  std::atomic<size_t> next_to_heads_{0}, next_from_attention_{0};
};

}  // namespace

void encoder_layer(const StrizhEncoderLayer& layer, const Batch& batch, const float* hidden, float* out) {
  if (batch.tokens == 0) return;
  const Kernels& isa = kernels();
  const size_t members = threads();
  const LayerShape shape(layer);
  const LayerTables tables(layer, batch);
  const LayerRows tokens(batch);
  const Cut cut(shape, isa, tokens.count(), members);
  const LayerMemory memory(shape, tables, tokens.count(), members, {cut.size});
  const LayerStages stages(layer, shape, tables, tokens, memory, isa, hidden, out);
  Pass pass(shape, cut, {0, shape.units()}, stages, memory.pass(0), members);
  run_team(members, [&](const Member& me) {
    const Products enabled(isa);
    pass.to_heads(me);
    me.barrier();
    pass.from_attention(me);
  });
}

void pooled_encoder_layer(const StrizhEncoderLayer& layer, Pooling token, const Batch& batch, const float* hidden, float* out) {
  if (token != Pooling::cls && token != Pooling::last)
    throw Error("PooledEncoderLayer: pooling is " + std::to_string(static_cast<int>(token)) + "; expected 1 (cls) or 3 (last)");
  for (size_t text = 0; text < batch.texts; text++)
    if (batch.length(text) == 0) std::fill_n(out + text * static_cast<size_t>(layer.hidden_size), layer.hidden_size, 0.0f);
  if (batch.tokens == 0) return;
  const Kernels& isa = kernels();
  const size_t members = threads();
  const LayerShape shape(layer);
  const LayerTables tables(layer, batch);
  const LayerRows tokens(batch), pooled(batch, token);
  const Cut tokens_cut(shape, isa, tokens.count(), members), pooled_cut(shape, isa, pooled.count(), members);
  const LayerMemory memory(shape, tables, pooled.count(), members, {tokens_cut.size, pooled_cut.size});
  const LayerStages of_tokens(layer, shape, tables, tokens, memory, isa, hidden, nullptr);
  const LayerStages of_pooled(layer, shape, tables, pooled, memory, isa, hidden, out);
  Pass keys_and_values(shape, tokens_cut, {shape.heads, shape.units()}, of_tokens, memory.pass(0), members);
  Pass rest(shape, pooled_cut, {0, shape.heads}, of_pooled, memory.pass(1), members);
  run_team(members, [&](const Member& me) {
    const Products enabled(isa);
    keys_and_values.to_heads(me);
    me.barrier();
    rest.to_heads(me);
    me.barrier();
    rest.from_attention(me);
  });
}

}  // namespace strizh
