// The door for ONNX Runtime: RegisterCustomOps adds the operators of domain `strizh` to a session.
#include <exception>
#include <iterator>
#include <string>

#include "api.h"
#include "isa.h"
#include "memory.h"
#include "ort_abi.h"
#include "ort_node.h"
#include "ort_operators.h"

namespace strizh::ort {

namespace {

const Api* api = nullptr;

Status* refuse(Code code, const std::string& message) { return api->call<Status*>(Api::CreateStatus, code, message.c_str()); }

// The border that no exception crosses.
template <typename Work>
Status* guarded(const char* name, Work work) {
  try {
    work();
    return nullptr;
  } catch (const std::exception& error) {
    return refuse(kInvalidArgument, std::string("strizh ") + name + ": " + error.what());
  }
}

// What a session holds of each of its nodes.
template <typename Operator>
struct Node {
  explicit Node(const Making& node) : work(node) {}
  Operator work;
  ScratchUser user;
};

template <typename Operator>
CustomOp describe() {
  CustomOp op{};
  op.version = kApiVersion;
  op.GetName = [](const CustomOp*) { return Operator::name; };
  op.GetExecutionProviderType = [](const CustomOp*) -> const char* { return nullptr; };  // CPU
  op.GetInputType = [](const CustomOp*, size_t index) { return Operator::inputs[index]; };
  op.GetInputTypeCount = [](const CustomOp*) { return std::size(Operator::inputs); };
  op.GetOutputType = [](const CustomOp*, size_t) { return static_cast<int>(kFloat); };
  op.GetOutputTypeCount = [](const CustomOp*) { return size_t{1}; };
  op.GetInputCharacteristic = [](const CustomOp*, size_t index) { return index < Operator::required ? 0 : 1; };
  op.GetOutputCharacteristic = [](const CustomOp*, size_t) { return 0; };
  op.GetInputMemoryType = [](const CustomOp*, size_t) { return 0; };
  op.GetStartVersion = [](const CustomOp*) { return 1; };
  op.GetEndVersion = [](const CustomOp*) { return 1; };
  op.CreateKernelV2 = [](const CustomOp*, const Api*, const KernelInfo* info, void** kernel) {
    return guarded(Operator::name, [&] { *kernel = new Node<Operator>(Making(*api, info)); });
  };
  op.KernelComputeV2 = [](void* kernel, KernelContext* context) {
    return guarded(Operator::name, [&] { static_cast<const Node<Operator>*>(kernel)->work.run(Running(*api, context)); });
  };
  op.KernelDestroy = [](void* kernel) { delete static_cast<Node<Operator>*>(kernel); };
  return op;
}

}  // namespace

}  // namespace strizh::ort

extern "C" STRIZH_API void* RegisterCustomOps(void* session_options, const strizh::ort::ApiBase* base) {
  using namespace strizh::ort;
  api = base->GetApi(kApiVersion);
  if (api == nullptr) return nullptr;  // older than 1.17: there is nothing to report with
  static const CustomOp operators[] = {describe<Embeddings>(), describe<EncoderLayer>(), describe<Norm>(),
                                       describe<Pooling>(), describe<Dense>(), describe<Normalize>()};
  return guarded("registration", [&] {
    check_version(*api, base->GetVersionString());
    strizh::kernels();  // a bad STRIZH_ISA is an error here, before any weight is read
    Domain* domain = nullptr;  // ONNX Runtime keeps it as long as the process: sessions share it
    check(*api, api->call<Status*>(Api::CreateCustomOpDomain, "strizh", &domain));
    for (const CustomOp& op : operators) check(*api, api->call<Status*>(Api::CustomOpDomain_Add, domain, &op));
    check(*api, api->call<Status*>(Api::AddCustomOpDomain, session_options, domain));
  });
}
