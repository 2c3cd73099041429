#include "ort_node.h"

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <limits>

#include "error.h"

namespace strizh::ort {

namespace {

Tensor describe(const Api& api, const Value* value) {
  Tensor tensor;
  Shape* shape = nullptr;
  check(api, api.call<Status*>(Api::GetTensorTypeAndShape, value, &shape));
  size_t rank = 0;
  void* data = nullptr;
  check(api, api.call<Status*>(Api::GetTensorElementType, const_cast<const Shape*>(shape), &tensor.element));
  check(api, api.call<Status*>(Api::GetDimensionsCount, const_cast<const Shape*>(shape), &rank));
  tensor.shape.resize(rank);
  check(api, api.call<Status*>(Api::GetDimensions, const_cast<const Shape*>(shape), tensor.shape.data(), rank));
  api.call<void>(Api::ReleaseTensorTypeAndShapeInfo, shape);
  check(api, api.call<Status*>(Api::GetTensorMutableData, const_cast<Value*>(value), &data));
  tensor.data = data;
  return tensor;
}

std::string word_of(int element) {
  switch (element) {
    case kFloat: return "float32";
    case kFloat16: return "float16";
    case kBfloat16: return "bfloat16";
    case kInt32: return "int32";
    default: return "int8";
  }
}

}  // namespace

void check(const Api& api, Status* status) {
  if (status == nullptr) return;
  const std::string message = api.call<const char*>(Api::GetErrorMessage, const_cast<const Status*>(status));
  api.call<void>(Api::ReleaseStatus, status);
  throw Error(message);
}

void check_version(const Api& api, const char* version) {
  int major = 0, minor = 0;
  if (std::sscanf(version, "%d.%d", &major, &minor) == 2 && major == 1 && minor >= 23) {
    const char* question = "strizh asks whether this is the table it knows";
    Status* status = api.call<Status*>(Api::CreateStatus, kFail, question);
    const bool same = std::strcmp(api.call<const char*>(Api::GetErrorMessage, const_cast<const Status*>(status)), question) == 0;
    api.call<void>(Api::ReleaseStatus, status);
    if (same) return;
  }
  throw Error(std::string("ONNX Runtime ") + version + " is not one that strizh knows; expected 1.23 or a later 1.x");
}

int64_t Tensor::size() const {
  int64_t size = 1;
  for (const int64_t d : shape) size *= d;
  return size;
}

int32_t Making::integer(const char* attribute) const {
  int64_t value = 0;
  check(api_, api_.call<Status*>(Api::KernelInfoGetAttribute_int64, info_, attribute, &value));
  if (value < std::numeric_limits<int32_t>::min() || value > std::numeric_limits<int32_t>::max())
    throw Error(std::string("attribute ") + attribute + " is " + std::to_string(value) + "; expected a 32-bit number");
  return static_cast<int32_t>(value);
}

float Making::real(const char* attribute) const {
  float value = 0;
  check(api_, api_.call<Status*>(Api::KernelInfoGetAttribute_float, info_, attribute, &value));
  return value;
}

int32_t Making::word(const char* attribute, const Words& words) const {
  char text[64] = {};
  size_t size = sizeof text;
  check(api_, api_.call<Status*>(Api::KernelInfoGetAttribute_string, info_, attribute, static_cast<char*>(text), &size));
  std::string known;
  for (const auto& [word, number] : words) {
    if (std::string(text) == word) return number;
    known += (known.empty() ? "" : ", ") + std::string(word);
  }
  throw Error(std::string("attribute ") + attribute + " is '" + text + "'; expected one of " + known);
}

bool Making::has(const char* attribute) const {
  int64_t integer = 0;
  float real = 0;
  size_t size = 0;
  const auto given = [&](Status* status) {
    if (status) api_.call<void>(Api::ReleaseStatus, status);
    return status == nullptr;
  };
  return given(api_.call<Status*>(Api::KernelInfoGetAttribute_string, info_, attribute, static_cast<char*>(nullptr), &size)) ||
         given(api_.call<Status*>(Api::KernelInfoGetAttribute_int64, info_, attribute, &integer)) ||
         given(api_.call<Status*>(Api::KernelInfoGetAttribute_float, info_, attribute, &real));
}

Tensor Making::constant(size_t input, const char* name, const std::vector<int>& elements) const {
  int is_constant = 0;
  const Value* value = nullptr;
  check(api_, api_.call<Status*>(Api::KernelInfoGetConstantInput_tensor, info_, input, &is_constant, &value));
  if (!is_constant || value == nullptr) return {};
  Tensor tensor = describe(api_, value);
  if (std::find(elements.begin(), elements.end(), tensor.element) == elements.end()) {
    std::string expected;
    for (const int element : elements) expected += (expected.empty() ? "" : " or ") + word_of(element);
    throw Error(std::string(name) + " has element type " + std::to_string(tensor.element) + "; expected " + expected);
  }
  return tensor;
}

Tensor Running::input(size_t index, const char* name, int element, size_t rank) const {
  const Value* value = nullptr;
  check(api_, api_.call<Status*>(Api::KernelContext_GetInput, const_cast<const KernelContext*>(context_), index, &value));
  if (value == nullptr) throw Error(std::string("input ") + name + " is missing");
  Tensor tensor = describe(api_, value);
  if (tensor.element != element || tensor.shape.size() != rank)
    throw Error(std::string("input ") + name + " has element type " + std::to_string(tensor.element) + " and " +
                std::to_string(tensor.shape.size()) + " dimensions; expected " + word_of(element) +
                " and " + std::to_string(rank));
  return tensor;
}

Tensor Running::optional(size_t index) const {
  const Value* value = nullptr;
  check(api_, api_.call<Status*>(Api::KernelContext_GetInput, const_cast<const KernelContext*>(context_), index, &value));
  return value == nullptr ? Tensor{} : describe(api_, value);
}

size_t Running::outputs() const {
  size_t count = 0;
  check(api_, api_.call<Status*>(Api::KernelContext_GetOutputCount, const_cast<const KernelContext*>(context_), &count));
  return count;
}

void* Running::output_at(const std::vector<int64_t>& shape, size_t index) const {
  Value* value = nullptr;
  void* data = nullptr;
  check(api_, api_.call<Status*>(Api::KernelContext_GetOutput, context_, index, shape.data(), shape.size(), &value));
  if (value == nullptr) throw Error("output " + std::to_string(index) + " of the node is missing");
  check(api_, api_.call<Status*>(Api::GetTensorMutableData, value, &data));
  return data;
}

void* stream(const Api& api, KernelContext* context) {
  constexpr int kVersion = 3, kCudaStream = 10000;  // onnxruntime's cuda_resource.h
  void* found = nullptr;
  check(api, api.call<Status*>(Api::KernelContext_GetResource, const_cast<const KernelContext*>(context), kVersion, kCudaStream, &found));
  return found;
}

void expect_size(const Tensor& tensor, const char* name, size_t size) {
  if (tensor.data == nullptr) throw Error(std::string(name) + " is not an initializer of the graph; expected it there");
  if (static_cast<size_t>(tensor.size()) != size)
    throw Error(std::string(name) + " has " + std::to_string(tensor.size()) + " elements; expected " + std::to_string(size) +
                ", from the node's attributes");
}

}  // namespace strizh::ort
