"""CTranslate2: int8 weights per row, activations per token, padding removed inside."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.engines import Batch, Configuration, Precision

ENVIRONMENT = "ctranslate2"
PACKAGES = ("ctranslate2",)
RUNS_WITH = ("ctranslate2", "tokenizers")
IMPORTS = ("ctranslate2",)


def configurations() -> list[Configuration]:
    """Mean pooling is done here: its encoder gives token vectors."""
    precisions: tuple[tuple[Precision, str, float], ...] = (("fp32", "float32", 0.9999), ("int8", "int8", 0.0))
    return [
        Configuration(
            f"ctranslate2 {precision}",
            "ctranslate2",
            precision,
            {"compute_type": compute_type},
            files=(f"ctranslate2.{compute_type}",),
            least_cosine=least,
        )
        for precision, compute_type, least in precisions
    ]


class CTranslate2Engine:
    """An encoder over lists of ids."""

    def __init__(self, folder: Path, threads: int, compute_type: str) -> None:
        import ctranslate2

        self._encoder = ctranslate2.Encoder(
            str(folder), device="cpu", compute_type=compute_type, intra_threads=threads, inter_threads=1
        )

    def encode(self, batch: Batch, batch_size: int | None) -> NDArray[np.float32]:
        """Sorted by length; padded only between its operators."""
        order = sorted(range(len(batch.ids)), key=lambda row: -len(batch.ids[row]))
        size = batch_size or len(order)
        vectors: dict[int, NDArray[np.float32]] = {}
        for start in range(0, len(order), size):
            rows = order[start : start + size]
            output = self._encoder.forward_batch([batch.ids[row].tolist() for row in rows])
            hidden = np.array(output.last_hidden_state)
            for row, tokens in zip(rows, hidden, strict=True):
                vectors[row] = tokens[: len(batch.ids[row])].mean(axis=0)
        found = np.stack([vectors[row] for row in range(len(order))])
        return found / np.linalg.norm(found, axis=1, keepdims=True)  # type: ignore[no-any-return]


def open_engine(model: dict[str, Any], threads: int, compute_type: str) -> CTranslate2Engine:
    """Load the converted model."""
    return CTranslate2Engine(Path(model["files"]) / f"ctranslate2.{compute_type}", threads, compute_type)
