"""Vectors of a timed batch against the model's own in float32."""

import contextlib
import hashlib
from collections.abc import Sequence
from importlib import metadata
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
    """PyTorch in float32 where it is installed, the float32 graph otherwise: each text alone, so without padding.

    It is asked as a `Worker` is. What it has computed once lies beside the files made of the
    model, in the folder that its weights name.
    """

    takes_ids = True

    def __init__(self, model: Model, threads: int) -> None:
        self.name = _REFERENCES[0].label
        self._model, self._threads = model, threads
        self._worker: Worker | None = None
        self._texts: list[NDArray[np.int32]] = []

    def load(self, batch: Batch) -> None:
        """Take the token ids of the next request."""
        self._texts = batch.ids

    def vectors(self, batch_size: int | None = None) -> Vectors:
        """float32 [n, dim]. Raises `EngineError` where there is nothing to compute them with."""
        kept = self._model.folder / f"expected-{_digest(self._texts)}.npz"
        if not kept.exists():
            worker = self._open()
            worker.load(Batch(self._texts))
            part = kept.with_suffix(".part.npz")  # a run that is ended leaves no half of a file to the next
            np.savez(part, vectors=worker.vectors(1), name=self.name)
            part.replace(kept)
        with np.load(kept) as found:
            self.name = str(found["name"])
            return np.asarray(found["vectors"], np.float32)

    def close(self) -> None:
        """End its process."""
        if self._worker:
            self._worker.close()

    def _open(self) -> Worker:
        failures = []
        for configuration in () if self._worker else _REFERENCES:
            worker = Worker("main", self._threads)
            try:
                for name in configuration.files:
                    self._model.ensure(name, self._threads)
                worker.open(configuration, self._model.describe(), self._threads)
            except EngineError as error:
                failures.append(str(error))
                worker.close()
                continue
            self.name, self._worker = configuration.label, worker
            break
        if self._worker is None:
            raise EngineError(f"nothing to compare vectors with: {'; '.join(failures)}")
        return self._worker


def _digest(texts: Sequence[NDArray[np.int32]]) -> str:
    """Tells texts and the packages that compute their vectors from others."""
    digest = hashlib.sha256()
    for name in ("torch", "transformers", "onnxruntime"):
        with contextlib.suppress(metadata.PackageNotFoundError):
            digest.update(f"{name} {metadata.version(name)} ".encode())
    for ids in texts:
        digest.update(len(ids).to_bytes(4, "little") + ids.tobytes())
    return digest.hexdigest()[:16]


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
