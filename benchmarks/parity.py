"""Vectors of a timed batch against the model's own in float32."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.engines import Batch, Configuration
from benchmarks.models import Model
from benchmarks.workers import EngineError, Worker

Vectors = NDArray[np.float32]
# What the vectors are compared with, in this order of trust.
_REFERENCES = (
    Configuration("torch fp32", "torch", "fp32", {"precision": "fp32"}),
    Configuration("onnxruntime fp32", "onnxruntime", "fp32", {"file": "portable.onnx"}, files=("portable.onnx",)),
)


class Reference:
    """PyTorch in float32 where it is installed, the float32 graph otherwise: each text alone, so without padding."""

    def __init__(self, model: Model, threads: int) -> None:
        failures = []
        for configuration in _REFERENCES:
            worker = Worker("main", threads)
            try:
                for name in configuration.files:
                    model.ensure(name, threads)
                worker.open(configuration, model.describe(), threads)
            except EngineError as error:
                failures.append(str(error))
                worker.close()
                continue
            self.name, self.worker = configuration.label, worker
            return
        raise EngineError(f"nothing to compare vectors with: {'; '.join(failures)}")

    def vectors(self, texts: Sequence[NDArray[np.int32]]) -> Vectors:
        """float32 [n, dim]."""
        self.worker.load(Batch(list(texts)))
        return self.worker.vectors(1)

    def close(self) -> None:
        """End its process."""
        self.worker.close()


def check(vectors: Vectors, expected: Vectors, configuration: Configuration) -> dict[str, Any]:
    """Figures, with `misses`: what the recipe promises, or what a peer of this precision must give, and is not there."""
    from strizh.export.parity import compare
    from strizh.export.recipes import Promise, find_recipe

    if not configuration.same_model:
        return {"cosine_min": 0.0, "cosine_mean": 0.0, "max_abs": 0.0, "misses": []}
    if vectors.shape != expected.shape or not np.isfinite(vectors).all():
        return {"cosine_min": None, "misses": [f"vectors {vectors.shape} that are not finite or not complete"]}
    figures = compare(vectors, expected, "float32")
    least = configuration.least_cosine
    promise = find_recipe(configuration.promise).promise if configuration.promise else Promise(least, least)
    return {
        "cosine_min": figures.cosine_min,
        "cosine_mean": figures.cosine_mean,
        "max_abs": figures.max_abs,
        "misses": figures.misses(promise),
    }
