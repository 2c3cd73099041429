// Random numbers that are the same on every machine for the same seed.
#pragma once
#include <cmath>
#include <cstdint>
#include <random>
#include <vector>

class Random {
 public:
  explicit Random(uint64_t seed) : bits_(seed) {}

  // first <= number <= last
  int32_t between(int32_t first, int32_t last) {
    return first + static_cast<int32_t>(bits_() % (static_cast<uint64_t>(last) - static_cast<uint64_t>(first) + 1));
  }
  bool chance(double p) { return uniform() < p; }
  double uniform() { return static_cast<double>(bits_() >> 11) * 0x1p-53; }
  float normal() {  // Box and Muller
    return static_cast<float>(std::sqrt(-2 * std::log(1 - uniform())) * std::cos(6.283185307179586 * uniform()));
  }
  std::vector<float> normals(size_t count, float scale = 1, float mean = 0) {
    std::vector<float> x(count);
    for (float& value : x) value = mean + scale * normal();
    return x;
  }
  template <typename T>
  T one_of(std::initializer_list<T> values) { return values.begin()[between(0, static_cast<int32_t>(values.size()) - 1)]; }

 private:
  std::mt19937_64 bits_;
};
