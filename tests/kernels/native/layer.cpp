#include "layer.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <numeric>
#include <sstream>

using namespace strizh;

namespace {

std::vector<size_t> in_order(size_t count) {
  std::vector<size_t> place(count);
  std::iota(place.begin(), place.end(), size_t{0});
  return place;
}

uint16_t to_bf16(float x) {
  uint32_t bits;
  std::memcpy(&bits, &x, sizeof bits);
  return static_cast<uint16_t>((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

}  // namespace

void Free::operator()(char* p) const { std::free(p); }

Aligned aligned(size_t bytes) {
  const size_t size = divide_up(std::max<size_t>(bytes, 1), 64) * 64;
  Aligned memory(static_cast<char*>(std::aligned_alloc(64, size)));
  std::memset(memory.get(), 0, size);
  return memory;
}

Aligned pack(const std::vector<float>& weight, size_t in, const std::vector<size_t>& place, Precision precision) {
  const size_t panels = padded(*std::max_element(place.begin(), place.end()) + 1) / kPanelColumns;
  const size_t lines = lines_of(padded(in), precision), bytes = panel_bytes(lines, precision), group = elements_per_group(precision);
  Aligned packed = aligned(panels * bytes);
  for (size_t row = 0; row < place.size(); row++) {
    char* panel = packed.get() + place[row] / kPanelColumns * bytes;
    const size_t column = place[row] % kPanelColumns;
    const float* values = weight.data() + row * in;
    const float top = std::abs(*std::max_element(values, values + in, [](float a, float b) { return std::abs(a) < std::abs(b); }));
    int32_t sum = 0;
    for (size_t i = 0; i < in; i++) {
      const size_t at = (i / group * kPanelColumns + column) * group + i % group;
      const int32_t q = static_cast<int32_t>(std::lrint(127 * values[i] / top));
      if (precision == Precision::fp32) reinterpret_cast<float*>(panel)[at] = values[i];
      if (precision == Precision::bf16) reinterpret_cast<uint16_t*>(panel)[at] = to_bf16(values[i]);
      if (precision == Precision::int8) reinterpret_cast<int8_t*>(panel)[at] = static_cast<int8_t>(q);
      sum += q;
    }
    if (precision != Precision::int8) continue;
    char* end = panel + panel_bytes(lines);
    reinterpret_cast<float*>(end)[column] = top / 127;
    reinterpret_cast<int32_t*>(end)[kPanelColumns + column] = 128 * sum;
  }
  return packed;
}

RandomLayer::RandomLayer(Random& random) {
  describe(random);
  spec_[1] = spec_[2] = spec_[0];
  spec_[1].precision = spec_[2].precision = 1;
  spec_[2].sum_order = random.between(0, 1);  // of a layer whose products may all be kept
  const StrizhEncoderLayer& first = spec_[0];
  const auto size = [](int32_t x) { return static_cast<size_t>(x); };
  const size_t width = padded(size(first.head_size)), inner = size(first.intermediate_size);
  const size_t units = size(first.num_heads + 2 * first.num_kv_heads);

  std::vector<size_t> heads, pairs;
  for (size_t unit = 0; unit < units; unit++)
    for (size_t i = 0; i < size(first.head_size); i++) heads.push_back(unit * width + i);
  for (size_t half = 0; half < 2; half++)  // panels of gate and up in turn
    for (size_t i = 0; i < inner; i++) pairs.push_back((i / kPanelColumns * 2 + half) * kPanelColumns + i % kPanelColumns);

  make_product(random, &StrizhEncoderLayer::qkv, hidden(), heads);
  make_product(random, &StrizhEncoderLayer::output, size(first.num_heads) * width, in_order(hidden()));
  make_product(random, &StrizhEncoderLayer::up, hidden(), first.gated_mlp ? pairs : in_order(inner));
  make_product(random, &StrizhEncoderLayer::down, inner, in_order(hidden()));
  const int32_t kind = random.between(1, 2);
  make_norm(random, &StrizhEncoderLayer::attention_norm, first.pre_norm && random.chance(0.2) ? 0 : kind);
  make_norm(random, &StrizhEncoderLayer::mlp_norm, kind);
  const bool head_norms = random.chance(0.3);
  const size_t head_size = size(first.head_size), biases = size(first.relative_buckets) * size(first.num_heads);
  const float* q_norm = vector(random.normals(head_size, 0.1f, 1), in_order(head_size));
  const float* k_norm = vector(random.normals(head_size, 0.1f, 1), in_order(head_size));
  const float* relative_bias = biases ? vector(random.normals(biases), in_order(biases)) : nullptr;
  for (StrizhEncoderLayer& layer : spec_) {
    layer.head_norm_eps = 1e-6f;
    if (head_norms) layer.q_norm = q_norm, layer.k_norm = k_norm;
    layer.relative_bias = relative_bias;
  }
}

void RandomLayer::describe(Random& random) {
  StrizhEncoderLayer& l = spec_[0];
  l.num_kv_heads = random.between(1, 2);
  l.num_heads = l.num_kv_heads * random.between(1, 2);
  l.head_size = random.one_of({1, 16, 26, 31, 32, 33, 64, 80, 128});
  l.hidden_size = random.chance(0.5) ? random.between(8, 140) : random.one_of({32, 64, 96});
  l.intermediate_size = random.chance(0.5) ? random.between(1, 200) : random.one_of({32, 64, 320, 32, 64, 320, 3200});
  l.activation = random.between(0, 4);
  l.gated_mlp = random.chance(0.4);
  l.pre_norm = random.chance(0.4);
  l.causal = random.chance(0.3);
  l.window = random.chance(0.3) ? random.between(0, 70) : -1;
  if (random.chance(0.6)) {
    l.rope_dim = random.between(0, l.head_size / 2) * 2;
    l.rope_theta = random.one_of({100.0, 1e4, 1e6});
    l.rope_scaling = l.rope_dim > 2 ? random.between(0, 3) : 0;
    l.rope_factor = random.one_of({1.0, 2.0, 8.0});
    l.trained_positions = random.between(1, 64);
  }
  if (random.chance(0.3)) {
    l.relative_buckets = random.one_of({4, 8, 32});
    l.relative_max_distance = random.between(l.relative_buckets, 128);
  }
  l.attention_scale = random.chance(0.8) ? 1 / std::sqrt(l.head_size) : 1.0;
}

void RandomLayer::make_product(Random& random, StrizhLinear StrizhEncoderLayer::*product, size_t in,
                               const std::vector<size_t>& place) {
  const std::vector<float> weight = random.normals(place.size() * in, 1 / std::sqrt(static_cast<float>(in)));
  const float* bias = random.chance(0.7) ? vector(random.normals(place.size(), 0.1f), place) : nullptr;
  const auto keep = [&](const std::vector<float>& values, Precision precision) {
    memory_.push_back(pack(values, in, place, precision));
    return StrizhLinear{memory_.back().get(), bias, precision == Precision::int8, nullptr};
  };
  spec_[0].*product = keep(weight, Precision::fp32);
  spec_[1].*product = spec_[2].*product = keep(weight, Precision::bf16);
  if (random.chance(0.3)) return;
  std::vector<float> smooth = weight, factors(in, 1.0f);
  if (random.chance(0.5))
    for (size_t column = 0; column < in; column++) {
      factors[column] = random.one_of({0.25f, 0.6f, 1.0f, 3.0f});
      for (size_t row = 0; row < place.size(); row++) smooth[row * in + column] /= factors[column];
    }
  spec_[2].*product = keep(smooth, Precision::int8);
  (spec_[2].*product).smoothing = smooth == weight ? nullptr : vector(factors, in_order(in));
}

void RandomLayer::make_norm(Random& random, StrizhNorm StrizhEncoderLayer::*norm, int32_t kind) {
  const float* weight = vector(random.normals(hidden(), 0.1f, 1), in_order(hidden()));
  const float* bias = kind == 1 && random.chance(0.8) ? vector(random.normals(hidden(), 0.1f), in_order(hidden())) : nullptr;
  for (StrizhEncoderLayer& layer : spec_) layer.*norm = StrizhNorm{kind, 1e-5f, kind ? weight : nullptr, bias};
}

const float* RandomLayer::vector(const std::vector<float>& values, const std::vector<size_t>& place) {
  memory_.push_back(aligned(padded(*std::max_element(place.begin(), place.end()) + 1) * sizeof(float)));
  float* out = reinterpret_cast<float*>(memory_.back().get());
  for (size_t i = 0; i < place.size(); i++) out[place[i]] = values[i];
  return out;
}

size_t RandomLayer::longest_sum() const {
  const StrizhEncoderLayer& l = spec_[0];
  return static_cast<size_t>(std::max({l.hidden_size, l.intermediate_size, l.num_heads * l.head_size}));
}

std::string RandomLayer::description() const {
  const StrizhEncoderLayer& l = spec_[0];
  std::ostringstream text;
  text << "hidden " << l.hidden_size << ", heads " << l.num_heads << " and " << l.num_kv_heads << " of " << l.head_size
       << ", inner " << l.intermediate_size << ", activation " << l.activation << (l.gated_mlp ? ", gated" : "")
       << (l.pre_norm ? ", pre-norm" : "") << (l.causal ? ", causal" : "") << ", window " << l.window << ", rope "
       << l.rope_dim << " scaling " << l.rope_scaling << (l.q_norm ? ", head norms" : "") << ", norms "
       << l.attention_norm.kind << l.mlp_norm.kind << ", relative buckets " << l.relative_buckets;
  return text.str();
}
