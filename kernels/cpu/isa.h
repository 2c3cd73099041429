// Which instruction sets there are, which of them this CPU and operating system run, and which one is in use.
#pragma once
#include <string>

#include "kernels.h"

namespace strizh {

struct InstructionSet {
  const char* name;
  bool (*runs)();
  const Kernels* kernels;
};

// Best first; the last one runs everywhere.
const InstructionSet* begin_instruction_sets();
const InstructionSet* end_instruction_sets();

// The record in use: the best that runs, or the one that STRIZH_ISA names. Throws Error for a name that is unknown or
// does not run here.
const Kernels& kernels();

// Replaces the choice (an empty name goes back to the best). For tests; not while operators run.
void use_instruction_set(const std::string& name);

// Names of those that run here, best first, with commas.
std::string instruction_sets_that_run();

}  // namespace strizh
