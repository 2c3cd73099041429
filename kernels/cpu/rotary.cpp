#include "rotary.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <deque>
#include <mutex>
#include <utility>

namespace strizh {

namespace {

// Everything that decides the angles of a text, whatever its length.
struct Angles {
  double base, divisor;
  size_t dim, head_size, head_width;
  bool operator==(const Angles& o) const {
    return base == o.base && divisor == o.divisor && dim == o.dim && head_size == o.head_size && head_width == o.head_width;
  }
};

Angles angles_of(const Rope& rope, size_t length) {
  const double d = static_cast<double>(rope.dim);
  Angles a{rope.theta, 1.0, rope.dim, rope.head_size, rope.head_width};
  if (rope.scaling == Scaling::linear) a.divisor = rope.factor;
  if (rope.scaling == Scaling::ntk) a.base *= rope.factor, a.divisor = std::pow(rope.factor, 2 / d);
  if (rope.scaling == Scaling::dynamic) {
    const double trained = static_cast<double>(rope.trained_positions);
    const double ratio = std::max(static_cast<double>(length), trained) / trained;
    a.base *= std::pow(rope.factor * ratio - (rope.factor - 1), d / (d - 2));
  }
  return a;
}

std::shared_ptr<const RotaryTable> make_table(const Angles& a, size_t positions) {
  const size_t half = a.head_width / 2;
  auto table = std::make_shared<RotaryTable>();
  table->positions = positions;
  table->cosine.assign(positions * half, 1.0f);
  table->sine.assign(positions * half, 0.0f);
  for (size_t i = 0; i < a.dim / 2; i++) {
    const double frequency = std::pow(a.base, -2.0 * static_cast<double>(i) / static_cast<double>(a.dim)) / a.divisor;
    for (size_t p = 0; p < positions; p++) {
      const double angle = static_cast<double>(p) * frequency;
      table->cosine[p * half + i] = static_cast<float>(std::cos(angle));
      table->sine[p * half + i] = static_cast<float>(std::sin(angle));
    }
  }
  return table;
}

constexpr size_t kTablesKept = 16;

}  // namespace

std::shared_ptr<const RotaryTable> rotary_table(const Rope& rope, size_t length) {
  static auto* mutex = new std::mutex;
  static auto* kept = new std::deque<std::pair<Angles, std::shared_ptr<const RotaryTable>>>;  // latest first
  const Angles angles = angles_of(rope, length);
  const std::lock_guard<std::mutex> guard(*mutex);
  const auto found = std::find_if(kept->begin(), kept->end(), [&](const auto& entry) { return entry.first == angles; });
  if (found != kept->end() && found->second->positions >= length) return found->second;
  if (found != kept->end()) kept->erase(found);
  kept->emplace_front(angles, make_table(angles, std::max<size_t>(length, 512)));
  if (kept->size() > kTablesKept) kept->pop_back();
  return kept->front().second;
}

}  // namespace strizh
