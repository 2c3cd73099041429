"""The CUDA kernels against the spec in NumPy float64, for every family and precision."""

import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.gpu.batches import draw, pack
from benchmarks.gpu.packed import PackedEncoder
from benchmarks.gpu.specs import FAMILIES, Weights, random_weights
from strizh.export import reference
from strizh.export.recipes import find_recipe
from strizh.export.spec import EncoderSpec
from strizh.kernels.native_cuda import CudaKernels

# Around the 64 queries and keys of a block, and on both sides of the 512 trained positions.
LENGTHS = (1, 2, 15, 63, 64, 65, 128, 200, 511, 513, 700)
SHORT = (1, 2, 15, 65)  # for emulated threads


@dataclass(frozen=True, slots=True)
class Case:
    """A family with random weights, texts, and their vectors in float64."""

    family: str
    spec: EncoderSpec
    weights: Weights
    texts: list[NDArray[np.int64]]
    exact: NDArray[np.float64]

    def row(self, engine: str, precision: str, compute: Callable[[], NDArray[Any]]) -> dict[str, Any]:
        """Cosine at worst of what is computed, and whether it is what the variant promises.

        What is no number counts as -1. What cannot be computed is a promise that is not kept, with the error: the other
        families and precisions are compared all the same.
        """
        promised = find_recipe(f"cuda-{precision}").promise.cosine_min
        row = {"family": self.family, "engine": engine, "precision": precision, "promised": promised}
        try:
            vectors = compute().astype(np.float64)
        except Exception as error:
            traceback.print_exc()
            return row | {"cosine_min": -1.0, "kept": False, "error": " ".join(str(error).split())[:300]}
        cosine = 1 - ((vectors - self.exact) ** 2).sum(-1) / 2
        worst = float(np.nan_to_num(cosine, nan=-1.0).min())
        return row | {"cosine_min": worst, "kept": worst >= promised}


def cases(device: str) -> Iterator[Case]:
    """One a family."""
    for family, spec in FAMILIES.items():
        weights = random_weights(spec)
        texts = draw(SHORT if device == "cpu" else LENGTHS, spec.vocab_size)
        exact = reference.run(spec, weights, [text.tolist() for text in texts]).sentence_embedding
        yield Case(family, spec, weights, texts, exact)


def check(case: Case, kernels: CudaKernels, device: str) -> Iterator[dict[str, Any]]:
    """A row for each precision of the kernels on torch's buffers."""
    for precision, dtype in (("fp16", torch.float16), ("bf16", torch.bfloat16)):

        def compute(dtype: torch.dtype = dtype) -> NDArray[Any]:
            encoder = PackedEncoder(case.spec, case.weights, kernels, dtype, device)
            with torch.inference_mode():
                return np.asarray(encoder(*pack(case.texts, device).all).cpu().numpy())

        yield case.row("kernels", precision, compute)
