"""What a bundle's vectors are compared with: the checkpoint's own model in PyTorch, or the bundle's float32 graph."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import strizh
from strizh.export.checkpoint import Checkpoint, read_checkpoint
from strizh.export.hub import resolve
from strizh.export.options import Options, Plan, plan
from strizh.export.recipes import RECIPES
from strizh.export.traced import describe
from strizh.export.vocabulary.cut import kept_by
from strizh.runtime.batching import PackedBatch
from strizh.runtime.bundle import Manifest

Vectors = NDArray[np.float32]
# Vectors [n, dim] of texts given as token ids; every text alone.
Baseline = Callable[[Sequence[Sequence[int]]], Vectors]


def of_checkpoint(source: str, bundle: Path, manifest: Manifest) -> tuple[str, Baseline]:
    """The checkpoint in PyTorch float32, pooled and projected as the bundle was exported. Needs the extra `trace`.

    It takes the bundle's ids: where the vocabulary was cut, they are turned into the checkpoint's.
    """
    checkpoint = read_checkpoint(resolve(source))
    described = describe(checkpoint)
    options = Options.of(manifest, described)
    against, run = pytorch(checkpoint, plan(checkpoint, described, options), options)
    if not manifest.vocabulary:
        return against, run
    kept = kept_by(bundle, checkpoint)
    return f"{against}, vocabulary whole", lambda texts: run([kept[list(text)].tolist() for text in texts])


def pytorch(checkpoint: Checkpoint, planned: Plan, options: Options) -> tuple[str, Baseline]:
    """PyTorch float32 with what the plan puts behind the encoder."""
    from torch import inference_mode, ones_like, tensor

    from strizh.export.trace.load import load_encoder
    from strizh.export.trace.sentence import SentenceEncoder

    spec = planned.spec
    encoder = load_encoder(checkpoint.modules.encoder, spec.pooling, options.rope_scaling, spec.ntk_length)
    module: Any = SentenceEncoder(encoder, spec.pooling, spec.projections, planned.dense, spec.normalize).eval()

    def run(texts: Sequence[Sequence[int]]) -> Vectors:
        rows = []
        with inference_mode():
            for text in texts:
                ids = tensor([list(text)])
                rows.append(module(ids, ones_like(ids))[1][0].numpy())
        return np.stack(rows)

    return "PyTorch float32", run


def own_float32(bundle: Path, manifest: Manifest) -> tuple[str, Baseline] | None:
    """The bundle's own float32 variant, the most portable first; None if it has none."""
    name = next(
        (recipe.name for recipe in RECIPES.values() if recipe.precision == "fp32" and recipe.name in manifest.variants),
        None,
    )
    if name is None:
        return None
    encoder = strizh.load(bundle, variant=name)
    return name, lambda texts: np.concatenate([encoder.encode_tokens(PackedBatch.pack([text])) for text in texts])
