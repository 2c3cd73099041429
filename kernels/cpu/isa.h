// Which instruction sets there are, which of them this CPU and operating system run, and which one is in use.
#pragma once
#include <string>

#include "kernels.h"

namespace strizh {

// The record in use: the best that runs, or the one that STRIZH_ISA names: `amx_emulated`, too, the code of `amx` over
// tile registers in plain C++, which is for tests. Throws Error for a name that is unknown or does not run here.
const Kernels& kernels();

// A thread's right to compute products: held while it calls `linear` and `attend`, in one scope and no longer, since
// the processor's state in between is not ours (ONNX Runtime's own kernels use the same tile registers).
class Products {
 public:
  explicit Products(const Kernels& isa) : leave_(isa.leave) { if (isa.enter) isa.enter(); }
  ~Products() { if (leave_) leave_(); }
  Products(const Products&) = delete;
  Products& operator=(const Products&) = delete;

 private:
  void (*leave_)();
};

// Replaces the choice (an empty name goes back to the best). For tests; not while operators run.
void use_instruction_set(const std::string& name);

// Names of those that run here, best first, with commas.
std::string instruction_sets_that_run();

}  // namespace strizh
