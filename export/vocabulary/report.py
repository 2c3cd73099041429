"""What a cut costs, on texts; and the proof that a text of kept tokens is read as before."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from strizh.export.parity import parity_texts
from strizh.export.quantize.calibration import calibration_texts
from strizh.runtime.errors import UnsupportedModel
from strizh.runtime.manifest import Vocabulary


def sample(is_read: Callable[[str], bool]) -> list[str]:
    """Our own sentences, of which `is_read` knows more than half of the letters."""
    texts = [*parity_texts(), *calibration_texts()]
    return [text for text in texts if 2 * sum(map(is_read, filter(str.isalpha, text))) > sum(map(str.isalpha, text))]


def share_missing(counts: NDArray[np.int64], kept: NDArray[np.int64]) -> float | None:
    """The part of the tokens counted, int64 [vocabulary], that are none of the `kept` ids; None where none is counted."""
    total = int(counts.sum())
    return (total - int(counts[kept[kept < len(counts)]].sum())) / total if total else None


def check(whole: Tokenizer, cut: Tokenizer, kept: NDArray[np.int64], texts: Sequence[str]) -> None:
    """Every text whose tokens all stay must be the same tokens; raises `UnsupportedModel` where one is not."""
    cut.no_padding()
    cut.no_truncation()
    left = set(kept.tolist())
    for text, before, after in zip(texts, whole.encode_batch(texts), cut.encode_batch(texts), strict=True):
        if left.issuperset(before.ids) and before.ids != kept[after.ids].tolist():
            raise UnsupportedModel(
                f"the tokenizer reads {text[:60]!r} otherwise once its vocabulary is cut, though every token of it is left: "
                "something in it is not understood. Export without --keep-languages."
            )


def summary(cut: Vocabulary) -> str:
    """One line of what the manifest says of a cut."""
    kept = f"{cut.tokens:,} of {cut.of:,} tokens are left, for {', '.join(cut.kept_for)}"
    if cut.changed is None:
        return f"{kept}; what changes was not measured: there is no text for it"
    return f"{kept}; {cut.changed:.2%} of the tokens change in {cut.sample}"
