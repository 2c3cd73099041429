// One encoder layer over a packed batch.
#pragma once
#include "api.h"
#include "batch.h"
#include "head.h"

namespace strizh {

// Throws Error, naming the field, for a description that no kernel computes.
void check_encoder_layer(const StrizhEncoderLayer&);

// hidden and out are float32 [tokens, hidden_size].
void encoder_layer(const StrizhEncoderLayer&, const Batch&, const float* hidden, float* out);

// Of encoder_layer's rows those that pooling `token`, which is cls or last, takes, and its zeros for a text without tokens: out is
// [texts, hidden_size]. The bits are the same; only keys and values are computed of every token.
void pooled_encoder_layer(const StrizhEncoderLayer&, Pooling token, const Batch&, const float* hidden, float* out);

}  // namespace strizh
