// The operators around the layers: the same on every instruction set, up to the order of their sums.
#include "batch.h"
#include "check.h"
#include "layer.h"

using strizh::padded;

namespace {

// Runs `call`, which fills `out`, on every instruction set; results may differ by `roundings` of the largest value.
template <typename Call>
void compare(const std::vector<std::string>& isas, const std::string& name, size_t size, double roundings, Call call) {
  Floats expected(size);
  use_isa("generic");
  call(expected.data());
  const double scale = distance(expected, Floats(size)).largest;
  for (const std::string& isa : isas) {
    Floats out(size);
    use_isa(isa);
    call(out.data());
    const double found = distance(out, expected).largest, bound = roundings * 0x1p-23 * scale;
    require(found <= bound, isa + " " + name + ": error " + std::to_string(found) + ", bound " + std::to_string(bound));
  }
}

std::vector<size_t> in_order(size_t count) {
  std::vector<size_t> place(count);
  for (size_t i = 0; i < count; i++) place[i] = i;
  return place;
}

void check_dense(Random& random, const std::vector<std::string>& isas) {
  const int32_t in = random.between(1, 200), out = random.between(1, 100), rows = random.between(0, 110);
  const auto size = [](int32_t x) { return static_cast<size_t>(x); };
  const std::vector<float> weight = random.normals(size(in * out), 1 / std::sqrt(static_cast<float>(in)));
  Floats x = random.normals(size(rows * in)), bias = random.normals(padded(size(out)));
  const Floats factors = random.normals(padded(size(in)), 0.1f, 1);
  const int32_t activation = random.between(0, 6);
  const bool smooth = random.chance(0.5);
  for (const Precision precision : {Precision::fp32, Precision::bf16, Precision::int8}) {
    const Aligned panels = pack(weight, size(in), in_order(size(out)), precision);
    const bool int8 = precision == Precision::int8;
    const StrizhDense dense{precision == Precision::fp32 ? 0 : 1, in, out, activation,
                            {panels.get(), bias.data(), int8, int8 && smooth ? factors.data() : nullptr}};
    // Products of bf16 are exact in float, sums of integers altogether: only what follows them differs.
    compare(isas, "dense", size(rows * out), 8 * std::sqrt(in) + 8, [&](float* to) {
      succeed(strizh_dense, &dense, x.data(), static_cast<int64_t>(rows), to);
    });
  }
}

void check_norm(Random& random, const std::vector<std::string>& isas) {
  const size_t size = static_cast<size_t>(random.between(2, 400)), rows = static_cast<size_t>(random.between(0, 20));
  Floats weight = random.normals(padded(size), 0.1f, 1), bias = random.normals(padded(size));
  const Floats x = random.normals(rows * size, random.one_of({1e-3f, 1.0f, 1e3f}), 1);
  const StrizhNorm norm{random.between(1, 2), 1e-6f, weight.data(), random.chance(0.5) ? bias.data() : nullptr};
  // A row whose mean is a thousand times its deviation loses three digits when the mean is taken away.
  compare(isas, "norm", x.size(), 2000 * std::sqrt(static_cast<double>(size)), [&](float* to) {
    succeed(strizh_norm, &norm, static_cast<int64_t>(size), x.data(), static_cast<int64_t>(rows), to);
  });
}

void check_embeddings(Random& random, const std::vector<std::string>& isas) {
  const RandomBatch batch(random, 60);
  const int32_t hidden = random.between(1, 70), vocabulary = random.between(1, 50), kind = random.between(0, 2);
  // A table of bf16 may hold any bits that are finite numbers; a table of floats of the same bytes is longer than needed.
  std::vector<uint16_t> word(2 * static_cast<size_t>(vocabulary * hidden)), position(2 * static_cast<size_t>(100 * hidden));
  for (auto* table : {&word, &position})
    for (uint16_t& bits : *table) bits = static_cast<uint16_t>(random.between(0x3000, 0x5000) | random.between(0, 1) << 15);
  std::vector<int32_t> ids(static_cast<size_t>(batch.tokens()));
  for (int32_t& id : ids) id = random.between(0, vocabulary - 1);
  const std::vector<float> scale(static_cast<size_t>(vocabulary), 0.0625f);  // a power of two: exact, fused with the sum or not
  const StrizhEmbeddings e{random.between(0, 1), hidden, vocabulary, 100, kind, kind == 1 ? random.between(0, 30) : 0, 1, 0,
                           word.data(), position.data(), random.between(0, 1) ? scale.data() : nullptr};
  compare(isas, "embeddings", ids.size() * static_cast<size_t>(hidden), 0, [&](float* to) {
    succeed(strizh_embeddings, &e, ids.data(), batch.tokens(), batch.cu_seqlens.data(), batch.texts(), to);
  });
}

void check_pooling(Random& random, const std::vector<std::string>& isas) {
  const RandomBatch batch(random);
  const size_t size = static_cast<size_t>(random.between(1, 70));
  const int32_t kind = random.between(0, 5);
  const Floats hidden = random.normals(static_cast<size_t>(batch.tokens()) * size);
  compare(isas, "pooling", static_cast<size_t>(batch.texts()) * size, 0, [&](float* to) {
    succeed(strizh_pooling, kind, static_cast<int64_t>(size), hidden.data(), batch.tokens(),
            batch.cu_seqlens.data(), batch.texts(), to);
    succeed(strizh_normalize, static_cast<int64_t>(size), to, batch.texts(), to);
  });
}

}  // namespace

void check_operators(Random& random, const std::vector<std::string>& isas) {
  check_dense(random, isas);
  check_norm(random, isas);
  check_embeddings(random, isas);
  check_pooling(random, isas);
}
