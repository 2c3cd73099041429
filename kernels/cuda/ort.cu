// The door for ONNX Runtime's CUDA provider: RegisterCustomOps adds the operators of domain `strizh` that CUDA graphs call.
// They are the C interface's, on the provider's stream. The emulated build adds them to the CPU's provider.
#include <cstring>
#include <exception>
#include <new>
#include <string>

#include "../cpu/ort_library.h"
#include "api.h"
#include "device.h"

namespace strizh::cuda {
namespace {

using namespace strizh::ort;

void expect(bool right, const std::string& sentence) {
  if (!right) throw Error(sentence);
}

#ifdef STRIZH_EMULATED
constexpr const char* kProvider = nullptr;  // CPU

Stream stream_of(KernelContext* context) {
  // A CPU has no stream to give, and says so: this is the function that the header takes it for.
  try {
    ort::stream(*api, context);
  } catch (const std::exception& refusal) {
    expect(std::strstr(refusal.what(), "stream") != nullptr, "ONNX Runtime's table has another function for streams");
  }
  return nullptr;
}

struct Workspace {
  Workspace(int64_t bytes, Stream) : data(::operator new(static_cast<size_t>(bytes), std::align_val_t{16})) {}
  ~Workspace() { ::operator delete(data, std::align_val_t{16}); }
  void* data;
};
#else
constexpr const char* kProvider = "CUDAExecutionProvider";

Stream stream_of(KernelContext* context) { return static_cast<Stream>(ort::stream(*api, context)); }

// Memory that the stream's own work may use; freed in the stream's order, so that nothing waits.
struct Workspace {
  Workspace(int64_t bytes, Stream stream) : stream(stream) { check(cudaMallocAsync(&data, static_cast<size_t>(bytes), stream)); }
  ~Workspace() { cudaFreeAsync(data, stream); }
  void* data = nullptr;
  Stream stream;
};
#endif

const Words kPoolings = {{"mean", 0}, {"cls", 1}, {"first_token_transform", 1}, {"max", 2}, {"last", 3},
                         {"mean_sqrt_len_tokens", 4}, {"weightedmean", 5}};

// What a call of the C interface gave, as an exception.
template <typename Call>
void throwing(Call call) {
  char sentence[512] = {};
  if (call(sentence, int64_t{sizeof sentence})) throw Error(sentence);
}

// qkv, cu_seqlens, bias, cos, sin, q_norm, k_norm, relative_bias; the last six may be missing. `Half` numbers the type of qkv
// and bias for ONNX Runtime, `kElement` for the C interface.
template <Element Half, int kElement>
struct PackedAttention {
  static constexpr const char* name = "PackedAttention";
  static constexpr const char* provider = kProvider;
  static constexpr int inputs[] = {Half, kInt32, Half, kFloat, kFloat, kFloat, kFloat, kFloat};
  static constexpr size_t required = 2;
  static constexpr int outputs[] = {Half};

  explicit PackedAttention(const Making& node) {
    settings_ = {kElement, node.integer("num_heads"), node.integer("num_kv_heads"), node.integer("head_size"), 0,
                 node.integer("window"), node.integer("causal"), 0, node.real("scale"), node.real("norm_eps")};
    expect(settings_.num_heads > 0 && settings_.num_kv_heads > 0 && settings_.head_size > 0 && settings_.head_size <= 256,
           "num_heads, num_kv_heads or head_size is not positive, or head_size is beyond 256");
  }

  void run(const Running& node, KernelContext* context) const {
    StrizhPackedAttention s = settings_;
    const Tensor qkv = node.input(0, "qkv", Half, 2), offsets = node.input(1, "cu_seqlens", kInt32, 1);
    const int64_t heads = int64_t{s.num_heads} + 2 * s.num_kv_heads, tokens = qkv.shape[0];
    expect(qkv.shape[1] == heads * s.head_size, "qkv has " + std::to_string(qkv.shape[1]) + " columns; expected " +
                                                     std::to_string(heads * s.head_size) + ", from the node's attributes");
    expect(offsets.size() > 0, "cu_seqlens is empty");
    const Tensor bias = node.optional(2), cos = node.optional(3), sin = node.optional(4), q_norm = node.optional(5),
                 k_norm = node.optional(6), relative = node.optional(7);
    expect(!bias.data || bias.size() == qkv.shape[1], "bias does not have the columns of qkv");
    expect(!cos.data || (cos.shape.size() == 2 && cos.shape[0] == tokens && sin.shape == cos.shape), "cos and sin have no row for each token");
    for (const Tensor* norm : {&q_norm, &k_norm}) expect(!norm->data || norm->size() == s.head_size, "a norm does not have head_size numbers");
    expect(!relative.data || (relative.shape.size() == 2 && relative.shape[1] == s.num_heads && relative.shape[0] % 2 == 1),
           "relative_bias is not [2 * reach + 1, num_heads]");
    if (cos.data) s.rope_dim = static_cast<int32_t>(2 * cos.shape[1]);
    if (relative.data) s.reach = static_cast<int32_t>(relative.shape[0] / 2);
    void* out = node.output_at({tokens, int64_t{s.num_heads} * s.head_size});
    const Stream stream = stream_of(context);
    const Workspace workspace(2 * tokens * strizh_cuda_attention_columns(&s) + 16, stream);
    const StrizhAttentionInputs in{qkv.data, bias.data, cos.as<float>(), sin.as<float>(), q_norm.as<float>(), k_norm.as<float>(), relative.as<float>()};
    throwing([&](char* sentence, int64_t size) {
      return strizh_cuda_attention(&s, &in, offsets.as<int32_t>(), tokens, offsets.size() - 1, workspace.data, out, stream, sentence, size);
    });
  }

 private:
  StrizhPackedAttention settings_;
};

struct Pooling {
  static constexpr const char* name = "Pooling";
  static constexpr const char* provider = kProvider;
  static constexpr int inputs[] = {kFloat, kInt32};
  static constexpr size_t required = 2;
  static constexpr int outputs[] = {kFloat};

  explicit Pooling(const Making& node) : kind_(node.word("pooling", kPoolings)) {}

  void run(const Running& node, KernelContext* context) const {
    const Tensor hidden = node.input(0, "hidden", kFloat, 2), offsets = node.input(1, "cu_seqlens", kInt32, 1);
    expect(offsets.size() > 0, "cu_seqlens is empty");
    auto* out = static_cast<float*>(node.output_at({offsets.size() - 1, hidden.shape[1]}));
    const Stream stream = stream_of(context);
    throwing([&](char* sentence, int64_t size) {
      return strizh_cuda_pooling(kind_, 2, hidden.shape[1], hidden.data, offsets.as<int32_t>(), offsets.size() - 1, out, stream, sentence, size);
    });
  }

 private:
  int32_t kind_;
};

}  // namespace
}  // namespace strizh::cuda

extern "C" STRIZH_API void* RegisterCustomOps(void* session_options, const strizh::ort::ApiBase* base) {
  using namespace strizh::cuda;
  return register_operators<PackedAttention<kFloat16, 0>, PackedAttention<kBfloat16, 1>, Pooling>(session_options, base, [] {});
}
