"""The CUDA kernels against the spec in NumPy float64, for every family and precision."""

from typing import Any

import numpy as np
import torch

from benchmarks.gpu.batches import draw, pack
from benchmarks.gpu.packed import PackedEncoder
from benchmarks.gpu.specs import FAMILIES, random_weights
from strizh.export import reference
from strizh.export.recipes import find_recipe
from strizh.kernels.native_cuda import CudaKernels

# Around the 64 queries and keys of a block, and on both sides of the 512 trained positions.
LENGTHS = (1, 2, 15, 63, 64, 65, 128, 200, 511, 513, 700)
SHORT = (1, 2, 15, 65)  # for emulated threads


def check(kernels: CudaKernels, device: str) -> list[dict[str, Any]]:
    """A row for each family and precision: cosine at worst, and whether it is what the variant promises."""
    rows = []
    for family, spec in FAMILIES.items():
        weights = random_weights(spec)
        texts = draw(SHORT if device == "cpu" else LENGTHS, spec.vocab_size)
        exact = reference.run(spec, weights, [text.tolist() for text in texts]).sentence_embedding
        for precision, dtype in (("fp16", torch.float16), ("bf16", torch.bfloat16)):
            encoder = PackedEncoder(spec, weights, kernels, dtype, device)
            with torch.inference_mode():
                found = encoder(*pack(texts, device).all).cpu().numpy().astype(np.float64)
            cosine = 1 - ((found - exact) ** 2).sum(-1) / 2
            promised = find_recipe(f"cuda-{precision}").promise.cosine_min
            rows.append(
                {"family": family, "precision": precision, "cosine_min": float(cosine.min()), "promised": promised,
                 "kept": bool(cosine.min() >= promised)}
            )  # fmt: skip
    return rows
