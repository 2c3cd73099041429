// The part of ONNX Runtime's C interface that this library uses, so that it builds without ONNX Runtime's headers;
// the CUDA library uses it too.
//
// OrtApi is a table of functions that only ever grows: a function keeps its place for ever. The places below are those
// of the API since version 17 (ONNX Runtime 1.17); they are used from 1.23 on, and `check_version` finds out at
// registration whether the table behaves as this header says.
#pragma once
#include <cstddef>
#include <cstdint>

namespace strizh::ort {

struct Status;         // an error, or null
struct KernelInfo;     // a node while its kernel is made
struct KernelContext;  // a node while it runs
struct Value;          // a tensor
struct Shape;          // element type and dimensions of a tensor
struct SessionOptions;
struct Domain;

using Slot = void (*)();

enum : uint32_t { kApiVersion = 17 };
enum Code : int { kFail = 1, kInvalidArgument = 2 };
enum Element : int { kUndefined = 0, kFloat = 1, kInt8 = 3, kInt32 = 6, kFloat16 = 10, kBfloat16 = 16 };

struct Api {
  Slot slots[300];

  template <typename Result, typename... Arguments>
  Result call(size_t slot, Arguments... arguments) const {
    return reinterpret_cast<Result (*)(Arguments...)>(slots[slot])(arguments...);
  }

  // Status* unless said otherwise.
  enum : size_t {
    CreateStatus = 0,     // (Code, const char*)
    GetErrorMessage = 2,  // const char* (const Status*)
    CreateCustomOpDomain = 26,
    CustomOpDomain_Add = 27,
    AddCustomOpDomain = 28,
    GetTensorMutableData = 51,
    GetTensorElementType = 60,
    GetDimensionsCount = 61,
    GetDimensions = 62,
    GetTensorTypeAndShape = 65,
    KernelInfoGetAttribute_float = 85,
    KernelInfoGetAttribute_int64 = 86,
    KernelInfoGetAttribute_string = 87,
    KernelContext_GetOutputCount = 89,
    KernelContext_GetInput = 90,
    KernelContext_GetOutput = 91,
    ReleaseStatus = 93,                     // void
    ReleaseTensorTypeAndShapeInfo = 99,     // void
    KernelInfoGetConstantInput_tensor = 249,
    KernelContext_GetResource = 265,  // of a provider's stream
  };
};

struct ApiBase {
  const Api* (*GetApi)(uint32_t version);
  const char* (*GetVersionString)();
};

// OrtCustomOp of API version 17.
struct CustomOp {
  uint32_t version;
  void* (*CreateKernel)(const CustomOp*, const Api*, const KernelInfo*);
  const char* (*GetName)(const CustomOp*);
  const char* (*GetExecutionProviderType)(const CustomOp*);
  int (*GetInputType)(const CustomOp*, size_t);
  size_t (*GetInputTypeCount)(const CustomOp*);
  int (*GetOutputType)(const CustomOp*, size_t);
  size_t (*GetOutputTypeCount)(const CustomOp*);
  void (*KernelCompute)(void*, KernelContext*);
  void (*KernelDestroy)(void*);
  int (*GetInputCharacteristic)(const CustomOp*, size_t);  // 0 required, 1 optional
  int (*GetOutputCharacteristic)(const CustomOp*, size_t);
  int (*GetInputMemoryType)(const CustomOp*, size_t);
  int (*GetVariadicInputMinArity)(const CustomOp*);
  int (*GetVariadicInputHomogeneity)(const CustomOp*);
  int (*GetVariadicOutputMinArity)(const CustomOp*);
  int (*GetVariadicOutputHomogeneity)(const CustomOp*);
  Status* (*CreateKernelV2)(const CustomOp*, const Api*, const KernelInfo*, void** kernel);
  Status* (*KernelComputeV2)(void*, KernelContext*);
  Status* (*InferOutputShape)(const CustomOp*, void*);
  int (*GetStartVersion)(const CustomOp*);
  int (*GetEndVersion)(const CustomOp*);
};

}  // namespace strizh::ort
