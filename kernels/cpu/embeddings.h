// Token ids to rows of the residual stream.
#pragma once
#include "api.h"
#include "batch.h"

namespace strizh {

// out is float32 [tokens, hidden_size]. Throws Error for ids outside the vocabulary and texts that are too long.
void embeddings(const StrizhEmbeddings&, const int32_t* input_ids, const Batch&, float* out);

}  // namespace strizh
