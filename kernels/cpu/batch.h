// The packed batch as the operators see it, checked once.
#pragma once
#include <cstddef>
#include <cstdint>

namespace strizh {

struct Batch {
  const int32_t* cu_seqlens;
  size_t texts, tokens;

  // Throws Error unless cu_seqlens[count] rises from 0 to `tokens`.
  static Batch checked(const int32_t* cu_seqlens, int64_t count, int64_t tokens);

  size_t begin(size_t text) const { return static_cast<size_t>(cu_seqlens[text]); }
  size_t length(size_t text) const { return begin(text + 1) - begin(text); }
  size_t text_of(size_t token) const;  // the text that holds this token
};

}  // namespace strizh
