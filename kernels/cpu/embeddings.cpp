#include "embeddings.h"

#include <string>
#include <vector>

#include "error.h"
#include "isa.h"
#include "team.h"

namespace strizh {

namespace {

void check(const StrizhEmbeddings& e, const int32_t* ids, const Batch& batch) {
  for (size_t i = 0; i < batch.tokens; i++)
    if (ids[i] < 0 || ids[i] >= e.vocab_size)
      throw Error("input_ids[" + std::to_string(i) + "] is " + std::to_string(ids[i]) + "; expected 0 to " +
                  std::to_string(e.vocab_size - 1) + ": the ids come from another tokenizer than the weights");
  for (size_t text = 0; text < batch.texts; text++)
    if (e.max_length > 0 && batch.length(text) > static_cast<size_t>(e.max_length))
      throw Error("text " + std::to_string(text) + " has " + std::to_string(batch.length(text)) +
                  " tokens; this model takes at most " + std::to_string(e.max_length) + ". Truncate or split it");
}

// Row of the position table of every token; kernels/reference.py has the rule.
std::vector<int32_t> position_rows(const StrizhEmbeddings& e, const int32_t* ids, const Batch& batch) {
  std::vector<int32_t> rows(batch.tokens);
  for (size_t text = 0; text < batch.texts; text++) {
    int32_t counted = 0;
    for (size_t i = batch.begin(text); i < batch.begin(text + 1); i++) {
      const bool real = e.positions == 1 || ids[i] != e.pad_token_id;
      rows[i] = e.positions == 1 ? e.position_offset + counted : real ? e.pad_token_id + counted + 1 : e.pad_token_id;
      counted += real;
      if (rows[i] < 0 || rows[i] >= e.position_rows)
        throw Error("text " + std::to_string(text) + " has " + std::to_string(batch.length(text)) +
                    " tokens, more than the position table's " + std::to_string(e.position_rows) + " rows. Truncate or split it");
    }
  }
  return rows;
}

}  // namespace

void embeddings(const StrizhEmbeddings& e, const int32_t* ids, const Batch& batch, float* out) {
  check(e, ids, batch);
  std::vector<int32_t> rows;
  if (e.positions != 0) rows = position_rows(e, ids, batch);
  const size_t size = static_cast<size_t>(e.hidden_size);
  const Kernels& isa = kernels();
  run_team(threads(), [&](const Member& me) {
    const size_t first = share(batch.tokens, me.index, me.count), last = share(batch.tokens, me.index + 1, me.count);
    isa.gather({static_cast<Precision>(e.precision), e.word, e.positions ? e.position : nullptr, e.word_scale, ids + first,
                rows.data() + (rows.empty() ? 0 : first), last - first, size, out + first * size});
  });
}

}  // namespace strizh
