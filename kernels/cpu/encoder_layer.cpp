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
#include "layer_shape.h"
#include "layer_tables.h"
#include "memory.h"
#include "shared_units.h"
#include "team.h"

namespace strizh {

namespace {

constexpr float kLog2E = 1.4426950408889634f;
constexpr size_t kRowSlack = 32;  // a tile may read, never use, rows behind the last

// The rows that one pass works on, and its scratch memory.
struct Block {
  size_t first, rows;
  PackedRows input;    // the layer's input, then the feed-forward's
  PackedRows context;  // attention's output
  PackedRows inner;    // the feed-forward's intermediate
  float* residual;     // [rows][hidden_padded]
};

class LayerRun {
 public:
  LayerRun(const StrizhEncoderLayer& layer, const Batch& batch, const float* hidden, float* out)
      : layer_(layer), shape_(layer), batch_(batch), hidden_(hidden), out_(out), isa_(kernels()), tables_(layer, batch) {}

  void run() {
    const size_t team = threads(), tokens = batch_.tokens;
    // A thread wants a few panels of the narrowest product, or else its own rows, if they fill a tile or two.
    const size_t shared_rows = hidden_panels() < 4 * team ? std::min<size_t>(isa_.shared_rows, 32) : isa_.shared_rows;
    const bool columns = team > 1 && tokens < team * shared_rows;
    // As many blocks as fill the team evenly.
    const size_t blocks = columns ? 1 : divide_up(divide_up(tokens, isa_.block_rows), team) * team;
    const size_t rows = divide_up(tokens, blocks), capacity = rows + kRowSlack;
    const size_t shared = shared_bytes(), one_block = block_bytes(capacity);
    const size_t one_head = capacity * shape_.width * sizeof(float) + 64;
    const size_t members = columns ? team : std::min(team, blocks), own_blocks = columns ? 1 : members;
    char* base = scratch_.reserve(shared + own_blocks * one_block + members * one_head);
    place_shared(base);
    char* heads = base + shared + own_blocks * one_block;

    SharedProducts products{{shape_.units(), members}, {hidden_panels(), members}, {inner_panels(), members}, {hidden_panels(), members}};
    std::atomic<size_t> next_projection{0}, next_rest{0};
    run_team(members, [&](const Member& me) {
      const Products enabled(isa_);
      float* head = reinterpret_cast<float*>(heads + me.index * one_head);
      if (columns) {
        share_columns(place_block(base + shared, capacity, 0, tokens), head, products, me);
        return;
      }
      char* mine = base + shared + me.index * one_block;
      const auto block = [&](size_t i) {
        const size_t first = share(tokens, i, blocks);
        return place_block(mine, capacity, first, share(tokens, i + 1, blocks) - first);
      };
      for (size_t i; (i = next_projection.fetch_add(1)) < blocks;) {
        const Block b = block(i);
        load(b, 0, b.rows);
        project(b, head, 0, shape_.units(), shape_.units());
      }
      me.barrier();
      for (size_t i; (i = next_rest.fetch_add(1)) < blocks;) {
        const Block b = block(i);
        attend(b, 0, shape_.heads);
        begin_residual(b, 0, b.rows);
        quantize(layer_.output, b.context, context_size(), 0, b.rows);
        output(b, 0, hidden_panels(), hidden_panels());
        between(b, 0, b.rows);
        up(b, 0, inner_panels(), inner_panels());
        quantize(layer_.down, b.inner, shape_.inner_padded, 0, b.rows);
        down(b, 0, hidden_panels(), hidden_panels());
        finish(b, 0, b.rows);
      }
    });
  }

 private:
  // The products of a layer, whose units the threads share when they work on the same rows.
  struct SharedProducts { SharedUnits qkv, output, up, down; };

  void share_columns(const Block& b, float* head, SharedProducts& products, const Member& me) {
    const size_t begin = share(b.rows, me.index, me.count), end = share(b.rows, me.index + 1, me.count);
    load(b, begin, end);
    begin_residual(b, begin, end);
    me.barrier();
    products.qkv.take(me, [&](size_t first, size_t last, size_t limit) { project(b, head, first, last, limit); });
    me.barrier();
    attend(b, share(shape_.heads, me.index, me.count), share(shape_.heads, me.index + 1, me.count));
    me.barrier();
    if (quantize(layer_.output, b.context, context_size(), begin, end)) me.barrier();
    products.output.take(me, [&](size_t first, size_t last, size_t limit) { output(b, first, last, limit); });
    me.barrier();
    between(b, begin, end);
    me.barrier();
    products.up.take(me, [&](size_t first, size_t last, size_t limit) { up(b, first, last, limit); });
    me.barrier();
    if (quantize(layer_.down, b.inner, shape_.inner_padded, begin, end)) me.barrier();
    products.down.take(me, [&](size_t first, size_t last, size_t limit) { down(b, first, last, limit); });
    me.barrier();
    finish(b, begin, end);
  }

  size_t context_size() const { return shape_.heads * shape_.width; }
  size_t hidden_panels() const { return shape_.hidden_padded / kPanelColumns; }
  size_t inner_panels() const { return shape_.inner_padded / kPanelColumns; }

  // Memory -------------------------------------------------------------------------------------------------------

  size_t query_rows() const { return batch_.tokens + kRowSlack; }
  size_t query_bytes() const { return shape_.heads * shape_.head_lines * query_rows() * kLineBytes; }
  size_t key_bytes() const { return shape_.kv_heads * tables_.panels() * shape_.key_bytes; }
  size_t value_bytes() const { return shape_.kv_heads * shape_.head_panels() * tables_.panels() * shape_.value_bytes; }
  size_t shared_bytes() const { return query_bytes() + key_bytes() + value_bytes(); }

  void place_shared(char* base) {
    query_ = base;
    key_ = query_ + query_bytes();
    value_ = key_ + key_bytes();
  }

  // Of packed rows before they become 8-bit ones, which are shorter.
  size_t lines(size_t columns) const { return lines_of(columns, shape_.precision); }

  size_t block_bytes(size_t capacity) const {
    const size_t columns = shape_.hidden_padded + context_size() + shape_.inner_padded;
    const size_t residual = capacity * shape_.hidden_padded * sizeof(float), codes = 3 * capacity * sizeof(RowCodes);
    return lines(columns) * capacity * kLineBytes + divide_up(residual + codes, kLineBytes) * kLineBytes;
  }

  Block place_block(char* base, size_t capacity, size_t first, size_t rows) const {
    const size_t stride = capacity * kLineBytes;
    char* context = base + lines(shape_.hidden_padded) * stride;
    char* inner = context + lines(context_size()) * stride;
    float* residual = reinterpret_cast<float*>(inner + lines(shape_.inner_padded) * stride);
    RowCodes* codes = reinterpret_cast<RowCodes*>(residual + capacity * shape_.hidden_padded);
    return {first, rows, {base, stride, codes}, {context, stride, codes + capacity},
            {inner, stride, codes + 2 * capacity}, residual};
  }

  char* query_at(size_t head, size_t token) const {
    return query_ + (head * shape_.head_lines * query_rows() + token) * kLineBytes;
  }
  char* key_at(size_t head, size_t text) const {
    return key_ + (head * tables_.panels() + tables_.first_panel(text)) * shape_.key_bytes;
  }
  char* value_at(size_t head, size_t text) const {
    return value_ + (head * shape_.head_panels() * tables_.panels() + tables_.first_panel(text)) * shape_.value_bytes;
  }
  size_t value_stride() const { return tables_.panels() * shape_.value_bytes; }

  // Stages: each works on part of a block, by rows, heads or panels of columns -------------------------------------

  NormCall norm_call(const StrizhNorm& norm, bool apply, const float* in, size_t in_stride, size_t rows) const {
    return {apply ? static_cast<Norm>(norm.kind) : Norm::none, norm.weight, norm.bias, norm.eps, in, in_stride, rows,
            shape_.hidden, nullptr, 0, {}, shape_.precision, nullptr};
  }

  static PackedRows from_row(PackedRows packed, size_t row) {
    return {packed.data + row * kLineBytes, packed.stride, packed.codes + row};
  }

  Precision precision_of(const StrizhLinear& weights) const { return weights.int8 ? Precision::int8 : shape_.precision; }

  void pack_for(const StrizhLinear& consumer, PackedRows packed, NormCall& call) const {
    call.packed = packed;
    call.precision = precision_of(consumer);
    call.smoothing = consumer.smoothing;
  }

  // Whether there was anything to do.
  bool quantize(const StrizhLinear& consumer, PackedRows packed, size_t size, size_t begin, size_t end) const {
    if (consumer.int8) isa_.quantize({from_row(packed, begin), end - begin, size, consumer.smoothing});
    return consumer.int8 != 0;
  }

  void load(const Block& b, size_t begin, size_t end) const {
    const float* in = hidden_ + (b.first + begin) * shape_.hidden;
    NormCall call = norm_call(layer_.attention_norm, layer_.pre_norm, in, shape_.hidden, end - begin);
    pack_for(layer_.qkv, from_row(b.input, begin), call);
    isa_.norm(call);
  }

  void project(const Block& b, float* head, size_t first_unit, size_t last_unit, size_t limit) const {
    const size_t panels = shape_.head_panels();
    for (size_t unit = first_unit; unit < last_unit; unit++) {
      LinearCall call = linear_call(layer_.qkv, shape_.hidden_padded, b.input, b.rows, unit * panels, (unit + 1) * panels);
      call.fetch_end = limit * panels;
      call.epilogue = Epilogue::store;
      call.out = head;
      call.out_stride = shape_.width;
      isa_.linear(call);
      for_each_text(b, [&](size_t text, size_t position, size_t row, size_t rows) {
        keep_head(unit, text, position, b.first + row, head + row * shape_.width, rows);
      });
    }
  }

  void keep_head(size_t unit, size_t text, size_t position, size_t token, const float* in, size_t rows) const {
    const RotaryTable* table = unit < shape_.heads + shape_.kv_heads ? tables_.rotary(text) : nullptr;
    const size_t half = shape_.width / 2;
    HeadCall call{shape_.precision, in, shape_.width, rows, shape_.width, nullptr, static_cast<size_t>(layer_.head_size),
                  layer_.head_norm_eps, table ? table->cosine.data() + position * half : nullptr,
                  table ? table->sine.data() + position * half : nullptr, 1.0f, position, batch_.length(text), nullptr, 0};
    if (unit < shape_.heads) {
      call.norm_weight = layer_.q_norm;
      call.scale = static_cast<float>(layer_.attention_scale) * kLog2E;
      call.out = query_at(unit, token);
      call.stride = query_rows() * kLineBytes;
      return isa_.query(call);
    }
    unit -= shape_.heads;
    if (unit < shape_.kv_heads) {
      call.norm_weight = layer_.k_norm;
      call.out = key_at(unit, text);
      return isa_.key(call);
    }
    call.out = value_at(unit - shape_.kv_heads, text);
    call.stride = value_stride();
    isa_.value(call);
  }

  void attend(const Block& b, size_t first_head, size_t last_head) const {
    for_each_text(b, [&](size_t text, size_t position, size_t row, size_t rows) {
      for (size_t head = first_head; head < last_head; head++) {
        const size_t kv = head * shape_.kv_heads / shape_.heads;
        for (size_t done = 0; done < rows; done += kAttendRows) {
          const size_t at = row + done, count = std::min<size_t>(kAttendRows, rows - done);
          PackedRows out = from_row(b.context, at);
          out.data += head * shape_.head_lines * b.context.stride;
          isa_.attend({shape_.precision,
                       {query_at(head, b.first + at), query_rows() * kLineBytes, nullptr},
                       key_at(kv, text), value_at(kv, text), value_stride(), shape_.width, count, position + done,
                       batch_.length(text), layer_.window < 0 ? SIZE_MAX : static_cast<size_t>(layer_.window),
                       layer_.causal != 0, tables_.bias(head), out});
        }
      }
    });
  }

  void begin_residual(const Block& b, size_t begin, size_t end) const {
    NormCall copy = norm_call(layer_.attention_norm, false, hidden_ + (b.first + begin) * shape_.hidden, shape_.hidden, end - begin);
    copy.out = b.residual + begin * shape_.hidden_padded;
    copy.out_stride = shape_.hidden_padded;
    isa_.norm(copy);
  }

  void output(const Block& b, size_t begin, size_t end, size_t limit) const {
    add_product(b, layer_.output, context_size(), b.context, begin, end, limit);
  }

  // Post-norm: the attention's norm, kept and packed. Pre-norm: the feed-forward's, packed only.
  void between(const Block& b, size_t begin, size_t end) const {
    float* rows = b.residual + begin * shape_.hidden_padded;
    NormCall call = norm_call(layer_.pre_norm ? layer_.mlp_norm : layer_.attention_norm, true, rows, shape_.hidden_padded, end - begin);
    pack_for(layer_.up, from_row(b.input, begin), call);
    if (!layer_.pre_norm) call.out = rows, call.out_stride = shape_.hidden_padded;
    isa_.norm(call);
  }

  void up(const Block& b, size_t begin, size_t end, size_t limit) const {
    const size_t together = layer_.gated_mlp ? 2 : 1;
    LinearCall call = linear_call(layer_.up, shape_.hidden_padded, b.input, b.rows, begin * together, end * together);
    call.fetch_end = limit * together;
    call.epilogue = layer_.gated_mlp ? Epilogue::gate : Epilogue::activate;
    call.activation = static_cast<Activation>(layer_.activation);
    call.packed = b.inner;
    isa_.linear(call);
  }

  void down(const Block& b, size_t begin, size_t end, size_t limit) const {
    add_product(b, layer_.down, shape_.inner_padded, b.inner, begin, end, limit);
  }

  void finish(const Block& b, size_t begin, size_t end) const {
    const float* rows = b.residual + begin * shape_.hidden_padded;
    NormCall call = norm_call(layer_.mlp_norm, !layer_.pre_norm, rows, shape_.hidden_padded, end - begin);
    call.out = out_ + (b.first + begin) * shape_.hidden;
    call.out_stride = shape_.hidden;
    isa_.norm(call);
  }

  void add_product(const Block& b, const StrizhLinear& weights, size_t k, PackedRows a, size_t begin, size_t end,
                   size_t limit) const {
    LinearCall call = linear_call(weights, k, a, b.rows, begin, end);
    call.fetch_end = limit;
    call.epilogue = Epilogue::add;
    call.out = b.residual;
    call.out_stride = shape_.hidden_padded;
    isa_.linear(call);
  }

  LinearCall linear_call(const StrizhLinear& weights, size_t k, PackedRows a, size_t rows, size_t begin, size_t end) const {
    const Precision precision = precision_of(weights);
    const Linear linear{precision, static_cast<const char*>(weights.panels), weights.bias, lines_of(k, precision)};
    return {linear, a, rows, begin, end, end, Epilogue::store, Activation::identity, nullptr, 0, {}};
  }

  // Calls visit(text, position in it, row in the block, rows) for the texts that a block touches.
  template <typename Visit>
  void for_each_text(const Block& b, Visit visit) const {
    size_t text = batch_.text_of(b.first);
    for (size_t row = 0; row < b.rows; text++) {
      const size_t position = b.first + row - batch_.begin(text);
      const size_t rows = std::min(batch_.length(text) - position, b.rows - row);
      if (rows) visit(text, position, row, rows);
      row += rows;
    }
  }

  const StrizhEncoderLayer& layer_;
  const LayerShape shape_;
  const Batch& batch_;
  const float* hidden_;
  float* out_;
  const Kernels& isa_;
  const LayerTables tables_;
  Scratch scratch_;
  char *query_ = nullptr, *key_ = nullptr, *value_ = nullptr;
};

}  // namespace

void encoder_layer(const StrizhEncoderLayer& layer, const Batch& batch, const float* hidden, float* out) {
  if (batch.tokens > 0) LayerRun(layer, batch, hidden, out).run();
}

}  // namespace strizh
