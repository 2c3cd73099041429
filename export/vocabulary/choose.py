"""Which tokens stay: those that texts or languages need, and those that no cut may take."""

from collections.abc import Sequence
from itertools import chain
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from strizh.export.checkpoint import Checkpoint
from strizh.export.spec import EncoderSpec, Positions
from strizh.export.vocabulary.cut import Cut
from strizh.export.vocabulary.languages import reader_of
from strizh.export.vocabulary.report import check, sample, share_missing
from strizh.export.vocabulary.tokenizer_json import TokenizerFile
from strizh.export.vocabulary.usage import CORPUS_ENDINGS, count, read_corpus
from strizh.runtime.manifest import Vocabulary


def cut_for(checkpoint: Checkpoint, spec: EncoderSpec, wanted: Sequence[str]) -> Cut:
    """The cut that leaves what `wanted` needs: codes of languages, and files of texts (.txt, .jsonl).

    Tokens of the checkpoint's prompts stay, and all that makes a text known: one that needs a token that is gone is
    spelled with shorter ones. Raises `UsageError` for an unknown language or a file without texts, `UnsupportedModel`
    for a tokenizer that cannot be cut.
    """
    files = [name for name in wanted if name.endswith(CORPUS_ENDINGS)]
    languages = [name.lower() for name in wanted if name not in files]
    is_read = reader_of(languages)
    file, whole = TokenizerFile(checkpoint.tokenizer.json), Tokenizer.from_str(checkpoint.tokenizer.json)
    whole.no_padding()
    whole.no_truncation()
    prompts = [prompt for prompt in checkpoint.modules.prompts.values() if prompt]

    stay = file.always() | _named(checkpoint, spec, set(whole.get_vocab().values()))
    stay.update(chain.from_iterable(row.ids for row in whole.encode_batch(prompts)))
    if languages:
        stay |= file.readable(is_read)
    if files:
        used = count(whole, chain.from_iterable(read_corpus(Path(name)) for name in files), prompts)
        kept = _closed(file, stay, used.held_out + used.rest + used.prompted)
        changed = share_missing(used.held_out, _closed(file, stay, used.rest))
        measured = f"every tenth of the {used.texts:,} texts, had it been cut to the others"
    else:
        ours = sample(is_read)
        used = count(whole, ours, ())
        kept = _closed(file, stay)
        changed = share_missing(used.held_out + used.rest, kept)
        measured = f"{len(ours)} sentences of strizh's own"
    asked = [*languages, *(Path(name).name for name in files)]
    report = Vocabulary(tuple(asked), len(kept), spec.vocab_size, changed, measured)
    cut = Cut(kept, file.cut({old: new for new, old in enumerate(kept.tolist())}), report)
    check(whole, Tokenizer.from_str(cut.tokenizer), kept, [*prompts, *sample(lambda text: True)])
    return cut


def _named(checkpoint: Checkpoint, spec: EncoderSpec, tokens: set[int]) -> set[int]:
    """Ids that the model knows by number."""
    named = {
        value for key, value in checkpoint.config.fields.items() if key.endswith("_token_id") and isinstance(value, int)
    }
    pad = checkpoint.tokenizer.pad_token_id  # XLM-R's positions hang on the config's, which may be another
    found = {spec.pad_token_id, *(named & tokens), *([] if pad is None else [pad])}
    # Positions that are counted from the pad id would all move with it.
    return found | set(range(spec.pad_token_id)) if spec.positions is Positions.ABSOLUTE_BY_ID else found


def _closed(file: TokenizerFile, stay: set[int], counts: NDArray[np.int64] | None = None) -> NDArray[np.int64]:
    used = set() if counts is None else set(np.flatnonzero(counts).tolist())
    return np.array(sorted(file.closed(stay | used)), np.int64)
