// The door for ONNX Runtime: RegisterCustomOps adds the operators of domain `strizh` to a session.
#include "api.h"
#include "isa.h"
#include "memory.h"
#include "ort_library.h"
#include "ort_operators.h"

namespace strizh::ort {
namespace {

// What a session holds of each of its nodes.
template <typename Operator>
struct Node {
  static constexpr const char* name = Operator::name;
  static constexpr const char* provider = nullptr;
  static constexpr auto& inputs = Operator::inputs;
  static constexpr size_t required = Operator::required;
  static constexpr auto& outputs = Operator::outputs;

  explicit Node(const Making& node) : work(node) {}
  void run(const Running& node, KernelContext*) const { work.run(node); }

  Operator work;
  ScratchUser user;
};

}  // namespace
}  // namespace strizh::ort

extern "C" STRIZH_API void* RegisterCustomOps(void* session_options, const strizh::ort::ApiBase* base) {
  using namespace strizh::ort;
  return register_operators<Node<Embeddings>, Node<EncoderLayer>, Node<PooledEncoderLayer>, Node<Norm>, Node<Pooling>, Node<Dense>,
                            Node<Normalize>>(
      session_options, base, [] { strizh::kernels(); });  // a bad STRIZH_ISA is an error here, before any weight is read
}
