// A node of an ONNX graph as an operator sees it: attributes and constant inputs when its kernel is made, tensors when
// it runs. Every failure is an Error with a sentence.
#pragma once
#include <string>
#include <utility>
#include <vector>

#include "ort_abi.h"

namespace strizh::ort {

struct Tensor {
  const void* data = nullptr;  // null: an optional input that is not there
  int element = kUndefined;
  std::vector<int64_t> shape;

  int64_t size() const;  // elements
  template <typename T>
  const T* as() const { return static_cast<const T*>(data); }
};

// Names and numbers of an attribute that is a word.
using Words = std::vector<std::pair<const char*, int32_t>>;

class Making {
 public:
  Making(const Api& api, const KernelInfo* info) : api_(api), info_(info) {}
  int32_t integer(const char* attribute) const;
  float real(const char* attribute) const;
  int32_t word(const char* attribute, const Words& words) const;
  bool has(const char* attribute) const;  // a number or a word
  // An initialiser of one of these element types, or one that is absent.
  Tensor constant(size_t input, const char* name, const std::vector<int>& elements = {kFloat}) const;

 private:
  const Api& api_;
  const KernelInfo* info_;
};

class Running {
 public:
  Running(const Api& api, KernelContext* context) : api_(api), context_(context) {}
  Tensor input(size_t index, const char* name, int element, size_t rank) const;
  // An input of any type and rank, or one that is absent.
  Tensor optional(size_t index) const;
  size_t outputs() const;  // that the node has
  float* output(const std::vector<int64_t>& shape, size_t index = 0) const { return static_cast<float*>(output_at(shape, index)); }
  void* output_at(const std::vector<int64_t>& shape, size_t index = 0) const;

 private:
  const Api& api_;
  KernelContext* context_;
};

// Throws unless ONNX Runtime is one that ort_abi.h describes: an error goes into its table and comes back.
void check_version(const Api& api, const char* version);

// The stream that CUDA's provider runs the node on.
void* stream(const Api& api, KernelContext* context);

// Throws what a status says, and releases it.
void check(const Api& api, Status* status);

// Throws unless a tensor is there and has `size` elements.
void expect_size(const Tensor& tensor, const char* name, size_t size);

}  // namespace strizh::ort
