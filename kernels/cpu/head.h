// What follows the last layer: final norm, pooling, dense layers, normalisation.
#pragma once
#include "api.h"
#include "batch.h"

namespace strizh {

enum class Pooling { mean = 0, cls = 1, max = 2, last = 3, mean_sqrt_len_tokens = 4, weightedmean = 5 };

void norm(const StrizhNorm&, size_t size, const float* in, size_t rows, float* out);
void pooling(Pooling kind, size_t size, const float* hidden, const Batch&, float* out);  // out [texts, size]
void dense(const StrizhDense&, const float* in, size_t rows, float* out);                // out [rows, out_features]
void normalize(size_t size, const float* in, size_t rows, float* out);

}  // namespace strizh
