"""Calibration: texts, and what the inputs of products look like on them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from strizh.export.weights import Array
from strizh.runtime.errors import UsageError
from strizh.runtime.files.readers import open_texts

_JOINED = 12  # sentences in one long text, with four times as many between it and the next
_ROWS_OF_A_TEXT = 32
_SOME = 4
Ids = Sequence[int]


def calibration_texts(path: Path | None = None) -> list[str]:
    """The texts of a file that `strizh embed` reads, such as a .jsonl; by default our own Russian and English ones.

    Ours are sentences and short paragraphs of many kinds, and the same joined into longer texts.
    """
    if path is not None:
        try:
            texts = [row.text for row in open_texts(str(path), flag=None).rows]
        except OSError as error:
            why = error.strerror or error
            raise UsageError(f"{path} cannot be read: {why}. Give a file that you may read.") from error
        if not any(texts):
            raise UsageError(f"{path} holds no text to calibrate with. Give a file of texts such as will be encoded.")
        return texts
    text = resources.files("strizh.export").joinpath("data/calibration_texts.txt").read_text(encoding="utf-8")
    lines = [line.replace("\\n", "\n") for line in text.splitlines()]
    return lines + [" ".join(lines[start : start + _JOINED]) for start in range(0, len(lines), 4 * _JOINED)]


@dataclass(slots=True)
class Observed:
    """The input of a product over all calibration tokens: extremes of each channel [in], and some of its rows."""

    minimum: Array
    maximum: Array
    samples: list[Array] = field(default_factory=list)

    @property
    def largest(self) -> Array:
        """Largest magnitude of each channel."""
        return np.maximum(self.maximum, -self.minimum)

    @property
    def rows(self) -> Array:
        """The sampled rows [n, in]."""
        return np.concatenate(self.samples)

    @property
    def some(self) -> Array:
        """A quarter of them, the first of each text among it: a smoothing is searched with them, once for every alpha."""
        return np.concatenate([rows[::_SOME] for rows in self.samples])


class Observer:
    """Collects `Observed` by the name of the value, one text after another."""

    def __init__(self) -> None:
        self.found: dict[str, Observed] = {}

    def see(self, values: Mapping[str, NDArray[Any]]) -> None:
        """Values [..., tokens, in] of one text."""
        for name, value in values.items():
            rows = value.reshape(-1, value.shape[-1])
            low, high = rows.min(0), rows.max(0)
            known = self.found.setdefault(name, Observed(low, high))
            known.minimum, known.maximum = np.minimum(known.minimum, low), np.maximum(known.maximum, high)
            # Evenly over the text; the first token, which is often an outlier, among them.
            known.samples.append(rows[:: max(1, len(rows) // _ROWS_OF_A_TEXT)][:_ROWS_OF_A_TEXT].copy())
