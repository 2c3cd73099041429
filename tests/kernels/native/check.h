// What every check of this program shares: calling the library, and comparing what it gives.
#pragma once
#include <cmath>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <vector>

#include "api.h"

using Floats = std::vector<float>;

struct Failure : std::runtime_error {
  using std::runtime_error::runtime_error;
};

inline void require(bool holds, const std::string& otherwise) {
  if (!holds) throw Failure(otherwise);
}

// Calls an operator of api.h, whose last arguments are the buffer of the error and its size; gives the error.
template <typename Operator, typename... Arguments>
std::string error_of(Operator call, Arguments... arguments) {
  char error[1024] = "";
  const int failed = call(arguments..., error, static_cast<int64_t>(sizeof error));
  require((failed != 0) == (error[0] != 0), "an operator that fails must say why, and one that does not, nothing");
  return error;
}

template <typename Operator, typename... Arguments>
void succeed(Operator call, Arguments... arguments) {
  const std::string error = error_of(call, arguments...);
  require(error.empty(), "refused: " + error);
}

inline void use_isa(const std::string& name) { succeed(strizh_use_isa, name.c_str()); }

struct Distance {
  double rms = 0, largest = 0;
};

inline Distance distance(const Floats& a, const Floats& b) {
  Distance d;
  for (size_t i = 0; i < a.size(); i++) {
    const double x = std::fabs(static_cast<double>(a[i]) - static_cast<double>(b[i]));
    require(std::isfinite(x), "a result is not finite");
    d.rms += x * x;
    d.largest = std::max(d.largest, x);
  }
  if (!a.empty()) d.rms = std::sqrt(d.rms / static_cast<double>(a.size()));
  return d;
}

// The checks, each of one random case: throw Failure where the library is wrong.
class Random;
void check_layer(Random& random, const std::vector<std::string>& isas);
void check_operators(Random& random, const std::vector<std::string>& isas);
void check_hostile_input(Random& random);
