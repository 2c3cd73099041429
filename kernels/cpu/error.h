// Errors inside the library. They never cross its C interface: api.cpp and ort.cpp turn them into a sentence.
#pragma once
#include <stdexcept>
#include <string>

namespace strizh {

struct Error : std::runtime_error {
  using std::runtime_error::runtime_error;
};

}  // namespace strizh
