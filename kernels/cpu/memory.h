// Scratch memory of the operators: grown on demand, kept between calls, aligned to a page. There is one buffer for every
// call that ran at the same time as others, of the size of the largest batch so far.
#pragma once
#include <cstddef>
#include <memory>

namespace strizh {

// A block that only grows. Its contents do not survive growing.
class Buffer {
 public:
  Buffer() = default;
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;
  ~Buffer();
  char* reserve(size_t bytes);

 private:
  char* data_ = nullptr;
  size_t size_ = 0;
};

// Consecutive parts of one buffer, each aligned to a cache line; without a buffer, only the sum of their sizes.
class Carver {
 public:
  explicit Carver(char* base) : base_(base) {}

  template <typename T>
  T* take(size_t count) {
    char* at = base_ ? base_ + taken_ : nullptr;
    taken_ += (count * sizeof(T) + 63) / 64 * 64;
    return reinterpret_cast<T*>(at);
  }

  size_t taken() const { return taken_; }

 private:
  char* base_;
  size_t taken_ = 0;
};

// While one of these lives, buffers stay for the next call; the last one to go frees them. Each node of an open session
// has one, so that closing the sessions gives the memory back.
class ScratchUser {
 public:
  ScratchUser();
  ~ScratchUser();
  ScratchUser(const ScratchUser&) = delete;
  ScratchUser& operator=(const ScratchUser&) = delete;
};

// A buffer borrowed from the process's free list for the time of one call.
class Scratch {
 public:
  Scratch();
  ~Scratch();
  char* reserve(size_t bytes) { return buffer_->reserve(bytes); }

 private:
  std::unique_ptr<Buffer> buffer_;
};

}  // namespace strizh
