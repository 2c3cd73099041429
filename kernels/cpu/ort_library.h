// What a library of operators tells ONNX Runtime: each operator as a table of functions, all of them in the domain `strizh`.
// Included by the one source file of a library that has RegisterCustomOps; both libraries have their own.
#pragma once
#include <exception>
#include <iterator>
#include <string>

#include "ort_abi.h"
#include "ort_node.h"

namespace strizh::ort {
namespace {

const Api* api = nullptr;

// The border that no exception crosses.
template <typename Work>
Status* guarded(const char* name, Work work) {
  try {
    work();
    return nullptr;
  } catch (const std::exception& reason) {
    return api->call<Status*>(Api::CreateStatus, kInvalidArgument, (std::string("strizh ") + name + ": " + reason.what()).c_str());
  }
}

// `Operator` has a name, a provider (null: the CPU's), the element types of its inputs, how many of them are required, those of its
// outputs, of which the first is, a constructor that reads a node's attributes, and run.
template <typename Operator>
CustomOp describe() {
  CustomOp op{};
  op.version = kApiVersion;
  op.GetName = [](const CustomOp*) { return Operator::name; };
  op.GetExecutionProviderType = [](const CustomOp*) -> const char* { return Operator::provider; };
  op.GetInputType = [](const CustomOp*, size_t index) { return Operator::inputs[index]; };
  op.GetInputTypeCount = [](const CustomOp*) { return std::size(Operator::inputs); };
  op.GetOutputType = [](const CustomOp*, size_t index) { return Operator::outputs[index]; };
  op.GetOutputTypeCount = [](const CustomOp*) { return std::size(Operator::outputs); };
  op.GetInputCharacteristic = [](const CustomOp*, size_t index) { return index < Operator::required ? 0 : 1; };
  op.GetOutputCharacteristic = [](const CustomOp*, size_t index) { return index < 1 ? 0 : 1; };
  op.GetInputMemoryType = [](const CustomOp*, size_t) { return 0; };  // the provider's own
  op.GetStartVersion = [](const CustomOp*) { return 1; };
  op.GetEndVersion = [](const CustomOp*) { return 1; };
  op.CreateKernelV2 = [](const CustomOp*, const Api*, const KernelInfo* info, void** kernel) {
    return guarded(Operator::name, [&] { *kernel = new Operator(Making(*api, info)); });
  };
  op.KernelComputeV2 = [](void* kernel, KernelContext* context) {
    return guarded(Operator::name, [&] { static_cast<const Operator*>(kernel)->run(Running(*api, context), context); });
  };
  op.KernelDestroy = [](void* kernel) { delete static_cast<Operator*>(kernel); };
  return op;
}

// Adds the operators to a session; `ready` may throw what keeps the library from running at all.
template <typename... Operators, typename Ready>
Status* register_operators(void* session_options, const ApiBase* base, Ready ready) {
  api = base->GetApi(kApiVersion);
  if (api == nullptr) return nullptr;  // older than 1.17: there is nothing to report with
  static const CustomOp operators[] = {describe<Operators>()...};
  return guarded("registration", [&] {
    check_version(*api, base->GetVersionString());
    ready();
    Domain* domain = nullptr;  // ONNX Runtime keeps it as long as the process: sessions share it
    check(*api, api->call<Status*>(Api::CreateCustomOpDomain, "strizh", &domain));
    for (const CustomOp& op : operators) check(*api, api->call<Status*>(Api::CustomOpDomain_Add, domain, &op));
    check(*api, api->call<Status*>(Api::AddCustomOpDomain, session_options, domain));
  });
}

}  // namespace
}  // namespace strizh::ort
