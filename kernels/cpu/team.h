// The threads of the library: one team a process, which one call at a time commands. A call that finds the team busy
// computes alone; the result is the same bits, because no sum depends on who computes it.
#pragma once
#include <atomic>
#include <cstddef>
#include <functional>

namespace strizh {

class Member {
 public:
  Member(size_t its_index, size_t of_count, std::atomic<size_t>* arrived, std::atomic<size_t>* round)
      : index(its_index), count(of_count), arrived_(arrived), round_(round) {}
  void barrier() const;  // waits for the other members

  const size_t index, count;

 private:
  std::atomic<size_t>*arrived_, *round_;
};

// Members of the next calls, the caller among them. 0 means as many as the process may use processors.
void set_threads(size_t count);
size_t threads();

// Runs job on every member at once and returns when all are done. job must not throw.
void run_team(size_t most, const std::function<void(const Member&)>& job);

// Parts [first, last) of n things for one of `count` members, in order and nearly equal.
inline size_t share(size_t n, size_t index, size_t count) { return n * index / count; }

}  // namespace strizh
