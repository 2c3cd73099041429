// One encoder layer over a packed batch.
#pragma once
#include "api.h"
#include "batch.h"

namespace strizh {

// Throws Error, naming the field, for a description that no kernel computes.
void check_encoder_layer(const StrizhEncoderLayer&);

// hidden and out are float32 [tokens, hidden_size].
void encoder_layer(const StrizhEncoderLayer&, const Batch&, const float* hidden, float* out);

}  // namespace strizh
