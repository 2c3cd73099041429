// Every instruction set against the plain one, and every batch against its texts alone.
#include "batch.h"
#include "check.h"
#include "layer.h"

namespace {

struct Case {
  const RandomLayer& layer;
  const RandomBatch& batch;
  const Floats& hidden;
};

Floats run(const Case& c, Precision precision, const Floats& hidden, const std::vector<int32_t>& cu_seqlens) {
  Floats out(hidden.size());
  succeed(strizh_encoder_layer, &c.layer.in(precision), hidden.data(), static_cast<int64_t>(cu_seqlens.back()),
          cu_seqlens.data(), static_cast<int64_t>(cu_seqlens.size() - 1), out.data());
  return out;
}

Floats run(const Case& c, Precision precision) { return run(c, precision, c.hidden, c.batch.cu_seqlens); }

double rms(const Floats& x) { return distance(x, Floats(x.size())).rms; }
double largest(const Floats& x) { return distance(x, Floats(x.size())).largest; }

// How far two correct implementations may be apart, by what the plain one in float32 says of this layer. Moving every
// input by one rounding moves the output by `one`: what a single rounding inside may do. Sums of n terms in another
// order differ by sqrt(n) roundings, and a layer has six of them in a row. In bf16, the plain implementation's own
// distance counts twice, and a half of a last place is granted where that happens to be small; so in int8.
struct Bound {
  Bound(const Case& c, Random& random)
      : exact(run(c, Precision::fp32)), low{{}, distance(run(c, Precision::bf16), exact), distance(run(c, Precision::int8), exact)} {
    Floats moved = c.hidden;
    for (float& x : moved) x *= random.chance(0.5) ? 1 + kEps : 1 - kEps;
    one = distance(run(c, Precision::fp32, moved, c.batch.cu_seqlens), exact);
    one.rms += kEps * rms(exact);
    one.largest += kEps * largest(exact);
    roundings = 6 * std::sqrt(static_cast<double>(c.layer.longest_sum()) + 300);
  }

  void check(const Floats& result, Precision precision, const std::string& where) const {
    const Distance found = distance(result, exact);
    const Distance& plain = low[static_cast<size_t>(precision)];
    const double least = precision == Precision::fp32 ? 0 : precision == Precision::bf16 ? 0x1p-9 : 0x1p-8;
    const double rms_bound = 2 * plain.rms + roundings * one.rms + least * rms(exact);
    const double largest_bound = 3 * plain.largest + roundings * one.largest + 4 * least * largest(exact);
    require(found.rms <= rms_bound, where + ": rms error " + std::to_string(found.rms) + ", bound " + std::to_string(rms_bound));
    require(found.largest <= largest_bound,
            where + ": largest error " + std::to_string(found.largest) + ", bound " + std::to_string(largest_bound));
  }

  static constexpr float kEps = 0x1p-23f;
  Floats exact;
  Distance low[3], one;
  double roundings;
};

// A layer with an 8-bit product, or that asks for the order of AMX, must have the same bits on every instruction set.
bool same_everywhere(const Case& c, Precision precision) {
  const StrizhEncoderLayer& l = c.layer.in(precision);
  return l.sum_order == 1 || l.qkv.int8 || l.output.int8 || l.up.int8 || l.down.int8;
}

// One text, chosen at random, alone, must have the bits that it has in the batch.
void check_alone(Random& random, const Case& c, Precision precision, const Floats& together, const std::string& where) {
  if (c.batch.texts() == 0) return;
  const size_t text = static_cast<size_t>(random.between(0, static_cast<int32_t>(c.batch.texts()) - 1));
  const int32_t begin = c.batch.cu_seqlens[text], end = c.batch.cu_seqlens[text + 1];
  const auto part = [&](const Floats& x) {
    const auto at = [&](int32_t row) { return x.begin() + static_cast<std::ptrdiff_t>(row * c.layer.hidden()); };
    return Floats(at(begin), at(end));
  };
  require(run(c, precision, part(c.hidden), {0, end - begin}) == part(together), where + ": a text alone has other bits");
}

// The layer that computes one token of each text must have the bits that pooling takes of all.
void check_pooled(Random& random, const Case& c, Precision precision, const Floats& together, const std::string& where) {
  const int32_t kind = random.one_of({1, 3});  // cls, last
  const int64_t size = static_cast<int64_t>(c.layer.hidden());
  const int32_t* offsets = c.batch.cu_seqlens.data();
  Floats expected(static_cast<size_t>(c.batch.texts()) * c.layer.hidden()), found(expected.size(), NAN);
  succeed(strizh_pooling, kind, size, together.data(), c.batch.tokens(), offsets, c.batch.texts(), expected.data());
  succeed(strizh_pooled_encoder_layer, &c.layer.in(precision), kind, c.hidden.data(), c.batch.tokens(), offsets, c.batch.texts(),
          found.data());
  require(found == expected, where + ": other bits of one token than of all, pooling " + std::to_string(kind));
}

}  // namespace

void check_layer(Random& random, const std::vector<std::string>& isas) {
  const RandomLayer layer(random);
  const RandomBatch batch(random);
  const Floats hidden = random.normals(static_cast<size_t>(batch.tokens()) * layer.hidden());
  const Case c{layer, batch, hidden};
  try {
    use_isa("generic");
    const Bound bound(c, random);
    const Floats plain = run(c, Precision::int8);
    for (const std::string& isa : isas)
      for (const Precision precision : {Precision::fp32, Precision::bf16, Precision::int8}) {
        const std::string where = isa + (precision == Precision::fp32 ? " fp32" : precision == Precision::bf16 ? " bf16" : " int8");
        use_isa(isa);
        const Floats together = run(c, precision);
        bound.check(together, precision, where);
        if (same_everywhere(c, precision)) require(together == plain, where + ": other bits than generic");
        check_alone(random, c, precision, together, where);
        strizh_set_threads(random.between(1, 3));
        require(run(c, precision) == together, where + ": other threads, other bits");
        check_pooled(random, c, precision, together, where);
        strizh_set_threads(0);
      }
  } catch (const Failure& failure) {
    std::string lengths;
    for (int64_t i = 0; i < batch.texts(); i++) lengths += " " + std::to_string(batch.cu_seqlens[i + 1] - batch.cu_seqlens[i]);
    throw Failure(std::string(failure.what()) + "\n  layer: " + layer.description() + "\n  texts:" + lengths);
  }
}
