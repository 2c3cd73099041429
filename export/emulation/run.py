"""A graph for a GPU run by `onnx.reference`, with the largest number that each of its nodes stores."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx.reference import ReferenceEvaluator

from strizh.export.emulation import operators, standard
from strizh.runtime.batching import PackedBatch
from strizh.runtime.errors import ParityError
from strizh.runtime.packing import packed_inputs


class Emulation:
    """One graph, ready to be fed."""

    def __init__(self, model: onnx.ModelProto | Path) -> None:
        self._evaluator = ReferenceEvaluator(_named(model), new_ops=operators.OPERATORS + standard.OPERATORS)

    def run(self, batch: PackedBatch) -> dict[str, NDArray[Any]]:
        """The graph's outputs by name; those of a padded graph with a row a token are padded. Every text has a token."""
        found = self._evaluator.run(None, self._feed(batch))
        return dict(zip(self._evaluator.output_names, found, strict=True))

    def values(self, batch: PackedBatch) -> dict[str, NDArray[Any]]:
        """Every value that there is on the way, by name: inputs, initialisers and what each node stores."""
        found: Mapping[str, Any] = self._evaluator.run(None, self._feed(batch), intermediate=True)
        return {name: np.asarray(x) for name, x in found.items() if isinstance(x, np.ndarray | np.generic)}

    def magnitudes(self, batch: PackedBatch) -> dict[str, float]:
        """Largest magnitude of every half-precision value, by name; infinite where one overflowed."""
        halves = {name: x for name, x in self.values(batch).items() if x.dtype == np.float16 and x.size}
        return {name: float(np.abs(x.astype(np.float64)).max()) for name, x in halves.items()}

    def _feed(self, batch: PackedBatch) -> dict[str, NDArray[Any]]:
        types = {"token_type_ids": batch.types_or_zeros()} if "token_type_ids" in self._evaluator.input_names else {}
        if "attention_mask" not in self._evaluator.input_names:
            return packed_inputs(batch) | types
        real = _real(batch)
        feed: dict[str, NDArray[Any]] = {"attention_mask": real.astype(np.int64)}
        for name, tokens in ({"input_ids": batch.input_ids} | types).items():
            feed[name] = np.zeros(real.shape, np.int64)
            feed[name][real] = tokens
        return feed


def _real(batch: PackedBatch) -> NDArray[np.bool_]:
    """Where a padded batch has tokens, [texts, longest]."""
    return np.asarray(np.arange(batch.lengths.max()) < batch.lengths[:, None])


def _named(model: onnx.ModelProto | Path) -> onnx.ModelProto:
    """The model with a name for outputs that nothing reads: to `onnx.reference` "" is a value like any other."""
    if isinstance(model, Path):
        named = onnx.load(model)
    else:
        named = onnx.ModelProto()
        named.CopyFrom(model)
    for node in named.graph.node:
        node.output[:] = [name or f"{node.name}:unused_{index}" for index, name in enumerate(node.output)]
    return named


def emulated(path: Path, output: str, batch: PackedBatch) -> NDArray[np.float32]:
    """One output of a graph file, float32 [texts, columns] or [total_tokens, columns]; `ParityError` if it is not finite."""
    found = Emulation(path).run(batch)[output]
    if found.ndim == 3:  # padded
        found = found[_real(batch)]
    if not np.isfinite(found).all():
        raise ParityError(
            f"{path.name}, run in NumPy, gave numbers that are not finite as {output}, which no --force keeps. "
            "Export without that variant."
        )
    return found
