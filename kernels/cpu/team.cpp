#include "team.h"

#include <algorithm>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#if defined(__linux__)
#include <sched.h>
#endif
#if defined(__unix__) || defined(__APPLE__)
#include <pthread.h>
#endif

namespace strizh {

namespace {

// A layer's operators follow each other within microseconds, so a worker spins about this long (0.1 ms) for the next
// one before it sleeps: between two calls of encode nobody burns a core.
constexpr int kSpinsBeforeSleep = 2000, kSpinsBeforeYield = 4000;

inline void pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("yield");
#endif
}

template <typename Done>
void spin_until(Done done) {
  for (int spins = 0; !done(); spins++) {
    pause();
    if (spins > kSpinsBeforeYield) std::this_thread::yield();  // more threads than processors
  }
}

size_t processors() {
#if defined(__linux__)
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) == 0) return static_cast<size_t>(CPU_COUNT(&set));
#endif
  return std::max<size_t>(1, std::thread::hardware_concurrency());
}

class Team {
 public:
  bool try_run(size_t most, const std::function<void(const Member&)>& job) {
    const std::unique_lock<std::mutex> command(command_, std::try_to_lock);
    if (!command.owns_lock()) return false;
    while (workers_ + 1 < most) start_worker();
    job_ = &job;
    working_.store(most - 1, std::memory_order_relaxed);
    call_.store(((call_.load(std::memory_order_relaxed) >> kMemberBits) + 1) << kMemberBits | most);
    if (sleeping_.load(std::memory_order_seq_cst) > 0) {
      const std::lock_guard<std::mutex> guard(sleep_);
      wake_.notify_all();
    }
    job(Member(0, most, &arrived_, &round_));
    spin_until([this] { return working_.load(std::memory_order_acquire) == 0; });
    return true;
  }

 private:
  void start_worker() {
    workers_++;
    std::thread(&Team::work, this, workers_, call_.load()).detach();
  }

  void work(size_t index, size_t seen) {
    for (;;) {
      wait_for_call(seen);
      seen = call_.load(std::memory_order_acquire);
      const size_t members = seen & ((size_t{1} << kMemberBits) - 1);
      if (index >= members) continue;  // and touch nothing: this call does not wait for us
      (*job_)(Member(index, members, &arrived_, &round_));
      working_.fetch_sub(1, std::memory_order_release);
    }
  }

  void wait_for_call(size_t seen) {
    for (int spins = 0; spins < kSpinsBeforeSleep; spins++) {
      if (call_.load(std::memory_order_acquire) != seen) return;
      pause();
    }
    std::unique_lock<std::mutex> guard(sleep_);
    sleeping_.fetch_add(1, std::memory_order_seq_cst);
    wake_.wait(guard, [&] { return call_.load(std::memory_order_seq_cst) != seen; });
    sleeping_.fetch_sub(1, std::memory_order_relaxed);
  }

  std::mutex command_, sleep_;
  std::condition_variable wake_;
  const std::function<void(const Member&)>* job_ = nullptr;
  size_t workers_ = 0;
  // Number of the call and its members in one word, so that a worker sees both or neither.
  static constexpr int kMemberBits = 16;
  alignas(64) std::atomic<size_t> call_{0};
  alignas(64) std::atomic<size_t> working_{0};
  alignas(64) std::atomic<size_t> sleeping_{0};
  alignas(64) std::atomic<size_t> arrived_{0};
  alignas(64) std::atomic<size_t> round_{0};
};

std::atomic<size_t> wanted{0};

// Never destroyed, since its workers are detached; a forked child has none of them and begins with a new team.
std::atomic<Team*> current{nullptr};

Team& team() {
  static std::once_flag once;
  std::call_once(once, [] {
    current.store(new Team);
#if defined(__unix__) || defined(__APPLE__)
    pthread_atfork(nullptr, nullptr, [] { current.store(new Team); });
#endif
  });
  return *current.load();
}

}  // namespace

void Member::barrier() const {
  if (count == 1) return;
  const size_t round = round_->load(std::memory_order_acquire);
  if (arrived_->fetch_add(1, std::memory_order_acq_rel) + 1 == count) {
    arrived_->store(0, std::memory_order_relaxed);
    round_->store(round + 1, std::memory_order_release);
    return;
  }
  spin_until([&] { return round_->load(std::memory_order_acquire) != round; });
}

void set_threads(size_t count) { wanted.store(count); }

size_t threads() {
  const size_t count = wanted.load();
  return count ? count : processors();
}

void run_team(size_t most, const std::function<void(const Member&)>& job) {
  most = std::min(most, threads());
  if (most > 1 && team().try_run(most, job)) return;
  std::atomic<size_t> unused{0};
  job(Member(0, 1, &unused, &unused));
}

}  // namespace strizh
