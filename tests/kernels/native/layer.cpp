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
  const size_t columns = padded(*std::max_element(place.begin(), place.end()) + 1), k = padded(in);
  const size_t group = elements_per_group(precision);
  Aligned panels = aligned(columns * k * element_bytes(precision));
  for (size_t row = 0; row < place.size(); row++)
    for (size_t i = 0; i < in; i++) {
      const size_t panel = place[row] / kPanelColumns, column = place[row] % kPanelColumns;
      const size_t at = ((panel * (k / group) + i / group) * kPanelColumns + column) * group + i % group;
      const float value = weight[row * in + i];
      if (precision == Precision::fp32) reinterpret_cast<float*>(panels.get())[at] = value;
      else reinterpret_cast<uint16_t*>(panels.get())[at] = to_bf16(value);
    }
  return panels;
}

RandomLayer::RandomLayer(Random& random) {
  describe(random);
  bf16_ = fp32_;
  bf16_.precision = 1;
  const auto size = [](int32_t x) { return static_cast<size_t>(x); };
  const size_t width = padded(size(fp32_.head_size)), inner = size(fp32_.intermediate_size);
  const size_t units = size(fp32_.num_heads + 2 * fp32_.num_kv_heads);

  std::vector<size_t> heads, pairs;
  for (size_t unit = 0; unit < units; unit++)
    for (size_t i = 0; i < size(fp32_.head_size); i++) heads.push_back(unit * width + i);
  for (size_t half = 0; half < 2; half++)  // panels of gate and up in turn
    for (size_t i = 0; i < inner; i++) pairs.push_back((i / kPanelColumns * 2 + half) * kPanelColumns + i % kPanelColumns);

  make_product(random, &StrizhEncoderLayer::qkv, hidden(), heads);
  make_product(random, &StrizhEncoderLayer::output, size(fp32_.num_heads) * width, in_order(hidden()));
  make_product(random, &StrizhEncoderLayer::up, hidden(), fp32_.gated_mlp ? pairs : in_order(inner));
  make_product(random, &StrizhEncoderLayer::down, inner, in_order(hidden()));
  const int32_t kind = random.between(1, 2);
  make_norm(random, &StrizhEncoderLayer::attention_norm, fp32_.pre_norm && random.chance(0.2) ? 0 : kind);
  make_norm(random, &StrizhEncoderLayer::mlp_norm, kind);
  if (random.chance(0.3)) {
    fp32_.head_norm_eps = bf16_.head_norm_eps = 1e-6f;
    fp32_.q_norm = bf16_.q_norm = vector(random.normals(size(fp32_.head_size), 0.1f, 1), in_order(size(fp32_.head_size)));
    fp32_.k_norm = bf16_.k_norm = vector(random.normals(size(fp32_.head_size), 0.1f, 1), in_order(size(fp32_.head_size)));
  }
  if (fp32_.relative_buckets > 0) {
    const size_t count = size(fp32_.relative_buckets) * size(fp32_.num_heads);
    fp32_.relative_bias = bf16_.relative_bias = vector(random.normals(count), in_order(count));
  }
}

void RandomLayer::describe(Random& random) {
  StrizhEncoderLayer& l = fp32_;
  l.num_kv_heads = random.between(1, 2);
  l.num_heads = l.num_kv_heads * random.between(1, 2);
  l.head_size = random.one_of({1, 16, 26, 31, 32, 33, 64, 80, 128});
  l.hidden_size = random.chance(0.5) ? random.between(8, 140) : random.one_of({32, 64, 96});
  l.intermediate_size = random.chance(0.5) ? random.between(1, 200) : random.one_of({32, 64, 320});
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
  for (StrizhEncoderLayer* layer : {&fp32_, &bf16_}) {
    memory_.push_back(pack(weight, in, place, static_cast<Precision>(layer->precision)));
    layer->*product = StrizhLinear{memory_.back().get(), bias};
  }
}

void RandomLayer::make_norm(Random& random, StrizhNorm StrizhEncoderLayer::*norm, int32_t kind) {
  const float* weight = vector(random.normals(hidden(), 0.1f, 1), in_order(hidden()));
  const float* bias = kind == 1 && random.chance(0.8) ? vector(random.normals(hidden(), 0.1f), in_order(hidden())) : nullptr;
  fp32_.*norm = bf16_.*norm = StrizhNorm{kind, 1e-5f, kind ? weight : nullptr, bias};
}

const float* RandomLayer::vector(const std::vector<float>& values, const std::vector<size_t>& place) {
  memory_.push_back(aligned(padded(*std::max_element(place.begin(), place.end()) + 1) * sizeof(float)));
  float* out = reinterpret_cast<float*>(memory_.back().get());
  for (size_t i = 0; i < place.size(); i++) out[place[i]] = values[i];
  return out;
}

size_t RandomLayer::longest_sum() const {
  return static_cast<size_t>(std::max({fp32_.hidden_size, fp32_.intermediate_size, fp32_.num_heads * fp32_.head_size}));
}

std::string RandomLayer::description() const {
  const StrizhEncoderLayer& l = fp32_;
  std::ostringstream text;
  text << "hidden " << l.hidden_size << ", heads " << l.num_heads << " and " << l.num_kv_heads << " of " << l.head_size
       << ", inner " << l.intermediate_size << ", activation " << l.activation << (l.gated_mlp ? ", gated" : "")
       << (l.pre_norm ? ", pre-norm" : "") << (l.causal ? ", causal" : "") << ", window " << l.window << ", rope "
       << l.rope_dim << " scaling " << l.rope_scaling << (l.q_norm ? ", head norms" : "") << ", norms "
       << l.attention_norm.kind << l.mlp_norm.kind << ", relative buckets " << l.relative_buckets;
  return text.str();
}
