#include "memory.h"

#include <cstdlib>
#include <mutex>
#include <new>
#include <vector>

#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace strizh {

namespace {

size_t users = 0;
constexpr size_t kHugePage = size_t{2} << 20, kPage = 4096;

// Never destroyed: operators may run while the process ends.
std::mutex& lock() { static auto* mutex = new std::mutex; return *mutex; }
std::vector<std::unique_ptr<Buffer>>& idle() { static auto* list = new std::vector<std::unique_ptr<Buffer>>; return *list; }

}  // namespace

Buffer::~Buffer() { std::free(data_); }

char* Buffer::reserve(size_t bytes) {
  if (bytes <= size_) return data_;
  std::free(data_);
  data_ = nullptr;
  const size_t unit = bytes >= kHugePage ? kHugePage : kPage, size = (bytes + unit - 1) / unit * unit;
  size_ = 0;
  data_ = static_cast<char*>(std::aligned_alloc(unit, size));
  if (data_ == nullptr) throw std::bad_alloc();
  size_ = size;
#if defined(__linux__)
  if (unit == kHugePage) madvise(data_, size_, MADV_HUGEPAGE);  // fewer misses of the address cache; refusal is harmless
#endif
  return data_;
}

ScratchUser::ScratchUser() {
  const std::lock_guard<std::mutex> guard(lock());
  users++;
}

ScratchUser::~ScratchUser() {
  const std::lock_guard<std::mutex> guard(lock());
  if (--users == 0) idle().clear();
}

Scratch::Scratch() {
  const std::lock_guard<std::mutex> guard(lock());
  if (!idle().empty()) buffer_ = std::move(idle().back()), idle().pop_back();
  if (!buffer_) buffer_ = std::make_unique<Buffer>();
}

Scratch::~Scratch() {
  const std::lock_guard<std::mutex> guard(lock());
  idle().push_back(std::move(buffer_));
}

}  // namespace strizh
