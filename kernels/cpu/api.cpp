#include "api.h"

#include <algorithm>
#include <cstring>
#include <exception>
#include <string>

#include "batch.h"
#include "embeddings.h"
#include "encoder_layer.h"
#include "head.h"
#include "isa.h"
#include "team.h"

namespace {

void copy_text(const std::string& text, char* to, int64_t size) {
  if (to == nullptr || size <= 0) return;
  const size_t count = std::min(text.size(), static_cast<size_t>(size) - 1);
  std::memcpy(to, text.data(), count);
  to[count] = 0;
}

// The border that no exception crosses.
template <typename Work>
int guarded(char* error, int64_t error_size, Work work) {
  try {
    work();
    return 0;
  } catch (const std::exception& e) {
    copy_text(e.what(), error, error_size);
    return 1;
  }
}

}  // namespace

using strizh::Batch;

int strizh_embeddings(const StrizhEmbeddings* e, const int32_t* ids, int64_t tokens, const int32_t* cu_seqlens,
                      int64_t batch, float* out, char* error, int64_t error_size) {
  return guarded(error, error_size, [&] { strizh::embeddings(*e, ids, Batch::checked(cu_seqlens, batch + 1, tokens), out); });
}

int strizh_encoder_layer(const StrizhEncoderLayer* layer, const float* hidden, int64_t tokens, const int32_t* cu_seqlens,
                         int64_t batch, float* out, char* error, int64_t error_size) {
  return guarded(error, error_size, [&] {
    strizh::check_encoder_layer(*layer);
    strizh::encoder_layer(*layer, Batch::checked(cu_seqlens, batch + 1, tokens), hidden, out);
  });
}

int strizh_pooled_encoder_layer(const StrizhEncoderLayer* layer, int32_t kind, const float* hidden, int64_t tokens,
                                const int32_t* cu_seqlens, int64_t batch, float* out, char* error, int64_t error_size) {
  return guarded(error, error_size, [&] {
    strizh::check_encoder_layer(*layer);
    strizh::pooled_encoder_layer(*layer, static_cast<strizh::Pooling>(kind), Batch::checked(cu_seqlens, batch + 1, tokens), hidden, out);
  });
}

int strizh_norm(const StrizhNorm* norm, int64_t size, const float* in, int64_t rows, float* out, char* error, int64_t error_size) {
  return guarded(error, error_size, [&] { strizh::norm(*norm, static_cast<size_t>(size), in, static_cast<size_t>(rows), out); });
}

int strizh_pooling(int32_t kind, int64_t size, const float* hidden, int64_t tokens, const int32_t* cu_seqlens, int64_t batch,
                   float* out, char* error, int64_t error_size) {
  return guarded(error, error_size, [&] {
    strizh::pooling(static_cast<strizh::Pooling>(kind), static_cast<size_t>(size), hidden,
                    Batch::checked(cu_seqlens, batch + 1, tokens), out);
  });
}

int strizh_dense(const StrizhDense* dense, const float* in, int64_t rows, float* out, char* error, int64_t error_size) {
  return guarded(error, error_size, [&] { strizh::dense(*dense, in, static_cast<size_t>(rows), out); });
}

int strizh_normalize(int64_t size, const float* in, int64_t rows, float* out, char* error, int64_t error_size) {
  return guarded(error, error_size, [&] { strizh::normalize(static_cast<size_t>(size), in, static_cast<size_t>(rows), out); });
}

void strizh_set_threads(int64_t count) { strizh::set_threads(count > 0 ? static_cast<size_t>(count) : 0); }

int64_t strizh_threads() { return static_cast<int64_t>(strizh::threads()); }

const char* strizh_isa(char* error, int64_t error_size) {
  const char* name = nullptr;
  guarded(error, error_size, [&] { name = strizh::kernels().name; });
  return name;
}

int strizh_use_isa(const char* name, char* error, int64_t error_size) {
  return guarded(error, error_size, [&] { strizh::use_instruction_set(name); });
}

int strizh_isas(char* names, int64_t size) {
  return guarded(nullptr, 0, [&] { copy_text(strizh::instruction_sets_that_run(), names, size); });
}
