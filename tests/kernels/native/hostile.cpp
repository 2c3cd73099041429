// Input that no caller should send: every operator answers with a sentence, and touches nothing it was not given.
#include <limits>

#include "batch.h"
#include "check.h"
#include "layer.h"

namespace {

void expect_refusal(const std::string& error, const std::string& what) {
  require(!error.empty(), what + " was accepted");
  require(error.find(' ') != std::string::npos, what + " was refused without a sentence: " + error);
}

// Offsets that fall, begin or end elsewhere, or point outside.
std::vector<int32_t> wrong_offsets(Random& random, std::vector<int32_t> offsets) {
  const std::vector<int32_t> right = offsets;
  while (offsets == right) {
    const size_t at = static_cast<size_t>(random.between(0, static_cast<int32_t>(offsets.size()) - 1));
    const int32_t far = random.one_of({std::numeric_limits<int32_t>::min(), -1, right.back() + 1, std::numeric_limits<int32_t>::max()});
    offsets[at] = far;
  }
  return offsets;
}

void check_offsets(Random& random) {
  const RandomLayer layer(random);
  const RandomBatch batch(random, 40);
  const std::vector<int32_t> offsets = wrong_offsets(random, batch.cu_seqlens);
  Floats hidden = random.normals(static_cast<size_t>(batch.tokens()) * layer.hidden()), out(hidden.size() + layer.hidden());
  const int64_t size = static_cast<int64_t>(layer.hidden());
  expect_refusal(error_of(strizh_encoder_layer, &layer.in(Precision::bf16), hidden.data(), batch.tokens(), offsets.data(),
                          batch.texts(), out.data()), "a layer's wrong cu_seqlens");
  expect_refusal(error_of(strizh_pooled_encoder_layer, &layer.in(Precision::bf16), 1, hidden.data(), batch.tokens(), offsets.data(),
                          batch.texts(), out.data()), "a pooled layer's wrong cu_seqlens");
  expect_refusal(error_of(strizh_pooling, 0, size, hidden.data(), batch.tokens(), offsets.data(), batch.texts(), out.data()),
                 "a pooling's wrong cu_seqlens");
}

void check_ids(Random& random) {
  const int32_t offsets[] = {0, 2, 5};
  Floats table(40 * 8), out(5 * 8);
  StrizhEmbeddings e{0, 8, 40, 40, random.between(0, 2), 0, 1, 0, table.data(), table.data(), nullptr};
  int32_t ids[5] = {3, 3, 3, 3, 3};
  const auto run = [&] { return error_of(strizh_embeddings, &e, ids, int64_t{5}, offsets, int64_t{2}, out.data()); };
  require(run().empty(), "ids within the vocabulary were refused");
  ids[random.between(0, 4)] = random.one_of({std::numeric_limits<int32_t>::min(), -1, 40, std::numeric_limits<int32_t>::max()});
  expect_refusal(run(), "an id outside the vocabulary");
  for (int32_t& id : ids) id = 3;
  e.max_length = 2;
  expect_refusal(run(), "a text above max_length");
  e.max_length = 0, e.positions = 1, e.position_rows = random.one_of({0, 2}), e.position_offset = 0;
  expect_refusal(run(), "a text above the position table");
  e.position_rows = 40, e.position_offset = random.one_of({-1, 39, std::numeric_limits<int32_t>::max()});
  expect_refusal(run(), "a position offset outside the table");
}

void check_descriptions(Random& random) {
  const RandomLayer layer(random);
  StrizhEncoderLayer l = layer.in(Precision::fp32);
  const int32_t least = std::numeric_limits<int32_t>::min(), most = std::numeric_limits<int32_t>::max();
  switch (random.between(0, 14)) {
    case 0: l.precision = random.one_of({-1, 3, most}); break;
    case 1: l.hidden_size = random.one_of({0, -1, least}); break;
    case 2: l.num_heads = random.one_of({0, -1, least}); break;
    case 3: l.num_kv_heads = random.one_of({0, -1, l.num_heads + 1, most}); break;
    case 4: l.head_size = random.one_of({0, -1, 257, least, most}); break;
    case 5: l.intermediate_size = random.one_of({0, -1, least}); break;
    case 6: l.activation = random.one_of({-1, 7, most}); break;
    case 7: l.rope_dim = random.one_of({-2, 1, l.head_size + 1, least, most}); break;
    case 8: l.rope_scaling = random.one_of({-1, 4, most}); break;
    case 9: l.rope_dim = 0, l.rope_scaling = 2; break;
    case 10: l.mlp_norm.kind = random.one_of({-1, 3, most}); break;
    case 11: l.up.int8 = 1; break;  // in a float32 layer
    case 12: l.up.smoothing = l.mlp_norm.weight; break;  // without int8
    case 13: l.sum_order = random.one_of({-1, 2, least, most}); break;
    case 14: l.sum_order = 1; break;  // in a float32 layer
  }
  const int32_t offsets[] = {0, 1};
  Floats hidden(layer.hidden()), out(layer.hidden());
  expect_refusal(error_of(strizh_encoder_layer, &l, hidden.data(), int64_t{1}, offsets, int64_t{1}, out.data()),
                 "a layer description that makes no sense");
  expect_refusal(error_of(strizh_pooled_encoder_layer, &l, 1, hidden.data(), int64_t{1}, offsets, int64_t{1}, out.data()),
                 "a pooled layer's description that makes no sense");
  const int32_t kind = random.one_of({least, -1, 0, 2, 4, 5, most});
  expect_refusal(error_of(strizh_pooled_encoder_layer, &layer.in(Precision::fp32), kind, hidden.data(), int64_t{1}, offsets,
                          int64_t{1}, out.data()), "a pooled layer of more than one token");
}

void check_head_descriptions(Random& random) {
  const int32_t least = std::numeric_limits<int32_t>::min(), most = std::numeric_limits<int32_t>::max(), offsets[] = {0, 1};
  alignas(64) float numbers[32 * 32] = {};
  float out[32];
  const StrizhNorm norm{random.one_of({least, -1, 0, 3, most}), 1e-6f, numbers, nullptr};
  expect_refusal(error_of(strizh_norm, &norm, int64_t{8}, numbers, int64_t{1}, out), "a norm of no kind");
  expect_refusal(error_of(strizh_pooling, random.one_of({least, -1, 6, most}), int64_t{8}, numbers, int64_t{1}, offsets,
                          int64_t{1}, out), "a pooling of no kind");
  StrizhDense dense{0, 8, 8, 0, {numbers, nullptr, 0, nullptr}};
  switch (random.between(0, 3)) {
    case 0: dense.precision = random.one_of({least, -1, 3, most}); break;
    case 1: dense.in_features = random.one_of({least, -1, 0}); break;
    case 2: dense.out_features = random.one_of({least, -1, 0}); break;
    case 3: dense.activation = random.one_of({least, -1, 7, most}); break;
  }
  expect_refusal(error_of(strizh_dense, &dense, numbers, int64_t{1}, out), "a dense layer that makes no sense");
}

// Numbers that are not finite are no error, but they must stay in their own text.
void check_not_finite(Random& random) {
  const RandomLayer layer(random);
  const std::vector<int32_t> offsets = {0, 20, 50};
  Floats hidden = random.normals(50 * layer.hidden()), before(hidden.size()), after(hidden.size());
  const Precision precision = random.one_of({Precision::fp32, Precision::bf16, Precision::int8});
  const auto run = [&](Floats& out) {
    succeed(strizh_encoder_layer, &layer.in(precision), hidden.data(), int64_t{50}, offsets.data(),
            int64_t{2}, out.data());
  };
  run(before);
  const float wild = random.one_of({std::numeric_limits<float>::infinity(), -std::numeric_limits<float>::infinity(),
                                    std::numeric_limits<float>::quiet_NaN(), 3e38f});
  hidden[static_cast<size_t>(random.between(0, 19)) * layer.hidden()] = wild;
  run(after);
  const auto second = static_cast<std::ptrdiff_t>(20 * layer.hidden());
  require(std::equal(after.begin() + second, after.end(), before.begin() + second), "a NaN reached another text");
}

}  // namespace

void check_hostile_input(Random& random) {
  check_offsets(random);
  check_ids(random);
  check_descriptions(random);
  check_head_descriptions(random);
  check_not_finite(random);
  require(!error_of(strizh_use_isa, "mmx").empty(), "an unknown instruction set was accepted");
}
