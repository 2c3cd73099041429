"""sentence-transformers on PyTorch, the way most people run these models: float32, bfloat16, bfloat16 compiled."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.engines import Batch, Configuration

ENVIRONMENT = "main"
PACKAGES = ("sentence-transformers", "torch", "transformers")
RUNS_WITH = ("sentence-transformers",)
IMPORTS = ("sentence_transformers",)


def configurations() -> list[Configuration]:
    """Texts only: it has no way in for token ids."""
    found = (("fp32", "fp32", False, 0.9999), ("bf16", "bf16", False, 0.99), ("bf16 compiled", "bf16", True, 0.99))
    return [
        Configuration(
            f"sentence-transformers {label}",
            "sentence_transformers",
            "fp32" if precision == "fp32" else "bf16",
            {"precision": precision, "compiled": compiled},
            batch_sizes=(8, 32),
            takes=("strings",),
            least_cosine=least,
        )
        for label, precision, compiled, least in found
    ]


class SentenceTransformersEngine:
    """Transformer, mean pooling, length 1."""

    def __init__(self, model: dict[str, Any], threads: int, precision: str, compiled: bool) -> None:
        import torch
        from sentence_transformers import SentenceTransformer, models

        from strizh.export.trace import register

        register()  # else it would want the remote code of RoPEBert checkpoints, which transformers 5 cannot run
        torch.set_num_threads(threads)
        dtype = torch.bfloat16 if precision == "bf16" else torch.float32
        options = {"dtype": dtype, "attn_implementation": "sdpa"}
        body = models.Transformer(model["checkpoint"], max_seq_length=model["max_length"], model_args=options)
        pooling = models.Pooling(body.get_word_embedding_dimension(), "mean")
        self._model = SentenceTransformer(modules=[body, pooling, models.Normalize()], device="cpu")
        if compiled:
            body.auto_model = torch.compile(body.auto_model, dynamic=True)

    def encode(self, batch: Batch, batch_size: int | None) -> NDArray[np.float32]:
        """It sorts by length and pads."""
        vectors: NDArray[np.float32] = self._model.encode(
            batch.strings, batch_size=batch_size or 32, show_progress_bar=False, convert_to_numpy=True
        )
        return vectors


def open_engine(
    model: dict[str, Any], threads: int, precision: str, compiled: bool = False
) -> SentenceTransformersEngine:
    """Load the checkpoint."""
    return SentenceTransformersEngine(model, threads, precision, compiled)
