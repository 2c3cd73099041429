// Units of one product (panels of columns, heads) that the threads of a team share. Each thread takes its own even part, in
// pieces that get smaller, and then helps with what is left of the others': cores are rarely equally fast, since they share
// their caches, their power or the machine with somebody. Which thread computes a unit changes nothing in it.
#pragma once
#include <algorithm>
#include <atomic>
#include <new>

#include "team.h"

namespace strizh {

// Consecutive units, or one slice of one of them, for products a slice of their rows. Units before `limit` are likely to be the
// next, and worth fetching ahead.
struct Piece { size_t begin, end, limit, slice = 0, slices = 1; };

class SharedUnits {
 public:
  struct alignas(64) Part { std::atomic<size_t> next; size_t end; };  // in slices

  // The last unit of each part is handed out in slices. parts[members] is memory of the caller's.
  SharedUnits(size_t units, size_t slices, size_t members, Part* parts) : slices_(slices), count_(members), parts_(parts) {
    for (size_t i = 0; i < members; i++) new (parts + i) Part{{share(units, i, members) * slices}, share(units, i + 1, members) * slices};
  }

  // Calls work(Piece) until nothing is left.
  template <typename Work>
  void take(const Member& me, Work work) const {
    for (size_t i = 0; i < count_; i++) {  // all parts, even if the team is smaller than was planned
      Part& part = parts_[(me.index + i) % count_];
      for (size_t at = part.next; at < part.end;) {
        const size_t left = part.end - at, units = std::max<size_t>(1, left / slices_ / kPieces);
        const bool whole = left > slices_;
        if (!part.next.compare_exchange_weak(at, at + (whole ? units * slices_ : 1))) continue;
        const size_t unit = at / slices_;
        work(whole ? Piece{unit, unit + units, part.end / slices_} : Piece{unit, unit + 1, unit + 1, at % slices_, slices_});
        at = part.next;
      }
    }
  }

 private:
  static constexpr size_t kPieces = 4;  // a piece is this part of what is left
  size_t slices_, count_;
  Part* parts_;
};

}  // namespace strizh
