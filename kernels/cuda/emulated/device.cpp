#include "device.h"

#include <setjmp.h>
#include <ucontext.h>

#include <algorithm>
#include <vector>

namespace strizh::cuda {

dim3 threadIdx(0), blockIdx(0);

namespace {

constexpr size_t kStack = 64 * 1024;
constexpr int kLanes = 32;

struct Copy {
  void* to;
  const void* from;
  bool real;
};

// A fiber is entered by setcontext once, and by _longjmp from then on, which asks nothing of the system.
struct Fiber {
  ucontext_t context;
  jmp_buf place;
  bool entered = false;
  std::vector<std::vector<Copy>> groups;  // committed copies, oldest first
  std::vector<Copy> open;
  bool done = false;
};

// Threads that meet: the last to come lets all go on.
struct Meeting {
  int expected = 0, here = 0;
  unsigned turn = 0;
};

struct Block {
  std::vector<Fiber> fibers;
  std::vector<char> memory;
  Meeting everybody;
  std::vector<Meeting> warps;
  std::vector<Operands> operands;  // a place a thread
  std::vector<float> floats;
  std::vector<const void*> rows;
  jmp_buf scheduler_place;
  const std::function<void()>* body;
  int current = 0;
};

Block* block = nullptr;

// Stacks outlive their block: fresh memory for every one would take longer than what runs on it.
char* stack_of(size_t thread) {
  static std::vector<std::vector<char>> stacks;
  while (stacks.size() <= thread) stacks.emplace_back(kStack);
  return stacks[thread].data();
}

Fiber& self() { return block->fibers[static_cast<size_t>(block->current)]; }
void yield() {
  if (_setjmp(self().place) == 0) _longjmp(block->scheduler_place, 1);
}
__attribute__((noinline)) void resume(Fiber& fiber) {
  if (_setjmp(block->scheduler_place) != 0) return;
  if (fiber.entered) _longjmp(fiber.place, 1);
  fiber.entered = true;
  setcontext(&fiber.context);
}

void meet(Meeting& meeting) {
  const unsigned turn = meeting.turn;
  if (++meeting.here == meeting.expected) {
    meeting.here = 0;
    ++meeting.turn;
  }
  while (meeting.turn == turn) yield();
}

Meeting& warp() { return block->warps[static_cast<size_t>(block->current / kLanes)]; }
size_t first_of_warp() { return static_cast<size_t>(block->current / kLanes * kLanes); }

void start() {
  (*block->body)();
  self().done = true;
  yield();
}

void land(const std::vector<Copy>& group) {
  for (const Copy& copy : group) {
    if (copy.real) std::memcpy(copy.to, copy.from, 16);
    else std::memset(copy.to, 0, 16);
  }
}

void run_block(unsigned threads, size_t bytes, const std::function<void()>& body) {
  Block here;
  block = &here;
  here.fibers = std::vector<Fiber>(threads);
  here.memory.assign(bytes + 16, static_cast<char>(0x7f));  // bf16 and fp16 take this for NaN: what nobody wrote shows
  here.everybody.expected = static_cast<int>(threads);
  here.warps.assign(threads / kLanes, Meeting{kLanes});
  here.operands.resize(threads);
  here.floats.resize(threads);
  here.rows.resize(threads);
  here.body = &body;
  for (size_t i = 0; i < threads; ++i) {
    Fiber& fiber = here.fibers[i];
    getcontext(&fiber.context);
    fiber.context.uc_stack.ss_sp = stack_of(i);
    fiber.context.uc_stack.ss_size = kStack;
    makecontext(&fiber.context, start, 0);
  }
  for (bool alive = true; alive;) {
    alive = false;
    for (unsigned i = 0; i < threads; ++i) {
      if (here.fibers[i].done) continue;
      here.current = static_cast<int>(i);
      threadIdx.x = i;
      resume(here.fibers[i]);
      alive = true;
    }
  }
}

}  // namespace

void run_blocks(dim3 grid, dim3 threads, size_t bytes, const std::function<void()>& body) {
  for (unsigned y = 0; y < grid.y; ++y)
    for (unsigned x = 0; x < grid.x; ++x) {
      blockIdx = dim3(x, y);
      run_block(threads.x, bytes, body);
    }
}

void __syncthreads() { meet(block->everybody); }

char* shared_memory() {
  const auto address = reinterpret_cast<uintptr_t>(block->memory.data());
  return block->memory.data() + (16 - address % 16) % 16;
}

void copy_async(void* shared, const void* global, bool real) { self().open.push_back({shared, global, real}); }

void commit_copies() {
  self().groups.push_back(std::move(self().open));
  self().open.clear();
}

void finish_copies(int pending) {
  auto& groups = self().groups;
  while (static_cast<int>(groups.size()) > pending) {
    land(groups.front());
    groups.erase(groups.begin());
  }
}

void load_matrices(uint32_t (&found)[4], const void* row, bool transposed) {
  block->rows[static_cast<size_t>(block->current)] = row;
  meet(warp());
  const int own = lane();
  for (int matrix = 0; matrix < 4; ++matrix) {
    auto number = [&](int r, int c) {
      return static_cast<const uint16_t*>(block->rows[first_of_warp() + static_cast<size_t>(8 * matrix + r)])[c];
    };
    const int r = own / 4, c = own % 4 * 2;
    const uint32_t low = transposed ? number(c, r) : number(r, c), high = transposed ? number(c + 1, r) : number(r, c + 1);
    found[matrix] = low | high << 16;
  }
  meet(warp());
}

const Operands* share(const Operands& own) {
  meet(warp());  // nobody still reads what was shared before
  block->operands[static_cast<size_t>(block->current)] = own;
  meet(warp());
  return &block->operands[first_of_warp()];
}

float exchange(float x, int distance) {
  block->floats[static_cast<size_t>(block->current)] = x;
  meet(warp());
  const float found = block->floats[first_of_warp() + static_cast<size_t>(lane() ^ distance)];
  meet(warp());
  return found;
}

int lane() { return block->current % kLanes; }

float to_float(Bfloat16 x) {
  const uint32_t bits = uint32_t{x.bits} << 16;
  float found;
  std::memcpy(&found, &bits, sizeof found);
  return found;
}

float to_float(Float16 x) {
  const int exponent = x.bits >> 10 & 31, fraction = x.bits & 1023;
  const float sign = x.bits >> 15 ? -1.0f : 1.0f;
  if (exponent == 31) return fraction ? NAN : sign * INFINITY;
  return sign * (exponent ? std::ldexp(1024.0f + fraction, exponent - 25) : std::ldexp(static_cast<float>(fraction), -24));
}

template <> Bfloat16 from_float(float x) {
  uint32_t bits;
  std::memcpy(&bits, &x, sizeof bits);
  if (std::isnan(x)) return {0x7fff};
  return {static_cast<uint16_t>((bits + 0x7fff + (bits >> 16 & 1)) >> 16)};
}

template <> Float16 from_float(float x) {
  const uint16_t sign = std::signbit(x) ? 0x8000 : 0;
  if (std::isnan(x)) return {0x7fff};
  const float size = std::fabs(x);
  if (size >= 65520.0f) return {static_cast<uint16_t>(sign | 0x7c00)};
  int exponent = -13;  // of zero
  if (size > 0.0f) std::frexp(size, &exponent);
  exponent = std::max(exponent - 1, -14);  // size is 1.f times two to this
  const auto units = static_cast<uint32_t>(std::nearbyint(std::ldexp(size, 10 - exponent)));
  // 1024 units are the least normal number, so that the exponent above it is added, and a carry goes on by itself.
  return {static_cast<uint16_t>(sign | (static_cast<uint32_t>(exponent + 14) * 1024 + units))};
}

}  // namespace strizh::cuda
