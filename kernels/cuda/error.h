// Failures as sentences, inside the library; the C interface catches them.
#pragma once
#include <stdexcept>
#include <string>

namespace strizh::cuda {

class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

#ifndef STRIZH_EMULATED
inline void check(cudaError_t status) {
  if (status != cudaSuccess) throw Error(std::string("CUDA: ") + cudaGetErrorString(status));
}
#endif

}  // namespace strizh::cuda
