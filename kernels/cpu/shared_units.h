// Units of one product (panels of columns, heads) that the threads of a team share. Each thread takes its own even part, in
// pieces that get smaller, and then helps with what is left of the others': cores are rarely equally fast, since they share
// their caches, their power or the machine with somebody. Which thread computes a unit changes nothing in it.
#pragma once
#include <algorithm>
#include <atomic>
#include <memory>

#include "team.h"

namespace strizh {

class SharedUnits {
 public:
  SharedUnits(size_t units, size_t members) : count_(members), parts_(new Part[members]) {
    for (size_t i = 0; i < members; i++) parts_[i].next = share(units, i, members), parts_[i].end = share(units, i + 1, members);
  }

  // Calls work(begin, end, limit) for pieces [begin, end) until none is left; units up to `limit` are likely to be next.
  template <typename Work>
  void take(const Member& me, Work work) {
    for (size_t i = 0; i < count_; i++) {  // all parts, even if the team is smaller than was planned
      Part& part = parts_[(me.index + i) % count_];
      for (size_t begin = part.next; begin < part.end;) {
        const size_t end = begin + std::max<size_t>(1, (part.end - begin) / kPieces);
        if (!part.next.compare_exchange_weak(begin, end)) continue;
        work(begin, end, part.end);
        begin = part.next;
      }
    }
  }

 private:
  static constexpr size_t kPieces = 4;  // a piece is this part of what is left
  struct alignas(64) Part { std::atomic<size_t> next{0}; size_t end = 0; };
  size_t count_;
  std::unique_ptr<Part[]> parts_;
};

}  // namespace strizh
