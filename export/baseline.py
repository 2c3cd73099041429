"""What a bundle's vectors are compared with: the checkpoint's own model in PyTorch, or the bundle's float32 graph."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

import strizh
from strizh.export.checkpoint import Checkpoint, read_checkpoint
from strizh.export.hub import resolve
from strizh.export.options import Options, Plan, plan
from strizh.export.recipes import RECIPES
from strizh.export.reference import token_heads
from strizh.export.token_parity import TokenHeads
from strizh.export.traced import describe
from strizh.export.vocabulary.cut import kept_by
from strizh.runtime.batching import PackedBatch
from strizh.runtime.manifest import TOKENIZER, Manifest
from strizh.runtime.tokenization import Tokenizer

PYTORCH = "PyTorch float32"
Vectors = NDArray[np.float32]
Ids = Sequence[int]


class Baseline(NamedTuple):
    """What a bundle is compared with, every text alone."""

    name: str
    vectors: Callable[[Sequence[Ids]], Vectors]  # of texts given as the bundle's token ids: [n, dim]
    token_heads: Callable[[Sequence[str]], TokenHeads]  # of texts without a prompt


def of_checkpoint(source: str, bundle: Path, manifest: Manifest) -> Baseline:
    """The checkpoint in PyTorch float32, pooled and projected as the bundle was exported. Needs the extra `trace`.

    It takes the bundle's ids: where the vocabulary was cut, they are turned into the checkpoint's.
    """
    checkpoint = read_checkpoint(resolve(source))
    described = describe(checkpoint, manifest.max_length)
    options = Options.of(manifest, described)
    planned = plan(checkpoint, described, options)
    run = pytorch(checkpoint, planned, options)
    kept = kept_by(bundle, checkpoint) if manifest.vocabulary else None

    def own(text: Ids) -> list[int]:
        return list(text) if kept is None else kept[list(text)].tolist()

    def heads(texts: Sequence[str]) -> TokenHeads:
        rows = Tokenizer(bundle / TOKENIZER, manifest.max_length).tokenize(texts, "").rows
        ids = [own(text.tolist()) for text in np.split(rows.input_ids, rows.cu_seqlens[1:-1])]
        each = [token_heads(planned.spec, planned.dense, run(text)[0], text) for text in ids]
        return TokenHeads.of_rows(rows, *zip(*each, strict=True))

    return Baseline(
        f"{PYTORCH}, vocabulary whole" if manifest.vocabulary else PYTORCH,
        lambda texts: np.stack([run(own(text))[1] for text in texts]),
        heads,
    )


def pytorch(checkpoint: Checkpoint, planned: Plan, options: Options) -> Callable[[Ids], tuple[Vectors, Vectors]]:
    """PyTorch float32 with what the plan puts behind the encoder: a text's token embeddings and its vector."""
    from torch import inference_mode, ones_like, tensor

    from strizh.export.trace.load import load_encoder
    from strizh.export.trace.sentence import SentenceEncoder

    spec = planned.spec
    encoder = load_encoder(checkpoint.modules.encoder, spec.pooling, options.rope_scaling, spec.ntk_length)
    module: Any = SentenceEncoder(encoder, spec.pooling, spec.projections, planned.dense, spec.normalize).eval()

    def run(text: Ids) -> tuple[Vectors, Vectors]:
        ids = tensor([list(text)])
        with inference_mode():
            tokens, vector = module(ids, ones_like(ids))
        return tokens[0].numpy(), vector[0].numpy()

    return run


def own_float32(bundle: Path, manifest: Manifest) -> Baseline | None:
    """The bundle's own float32 variant, the most portable first; None if it has none."""
    name = next(
        (recipe.name for recipe in RECIPES.values() if recipe.precision == "fp32" and recipe.name in manifest.variants),
        None,
    )
    if name is None:
        return None
    encoder = strizh.load(bundle, variant=name)
    return Baseline(
        name,
        lambda texts: np.concatenate([encoder.encode_tokens(PackedBatch.pack([text])) for text in texts]),
        lambda texts: TokenHeads.of_variant(bundle, name, texts),
    )
