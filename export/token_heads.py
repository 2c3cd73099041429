"""bge-m3's head files beside a checkpoint: `sparse_linear.pt` and `colbert_linear.pt`, each one linear layer."""

import dataclasses
import json
from pathlib import Path

import numpy as np

from strizh.export.spec import EncoderSpec
from strizh.export.tensors import open_torch
from strizh.export.tokenizer import TokenizerFacts
from strizh.export.weights import Array
from strizh.runtime.errors import CheckpointError

_FILES = {"sparse": "sparse_linear.pt", "multi_vector": "colbert_linear.pt"}


def read_token_heads(folder: Path, hidden_size: int) -> dict[str, Array]:
    """Slots to float32 tensors of the heads that are there; `CheckpointError` for one that does not fit the encoder."""
    found: dict[str, Array] = {}
    for slot, name in _FILES.items():
        if not (folder / name).is_file():
            continue
        store = open_torch((folder / name,))
        rows = store.shapes.get("weight", (0,))[0]
        expected = {"weight": (1 if slot == "sparse" else rows, hidden_size), "bias": (rows,)}
        if store.shapes != expected or not rows:
            raise CheckpointError(f"{folder / name} holds {store.shapes}, expected {expected}. Download it again.")
        found |= {f"{slot}.{part}": np.asarray(store[part], np.float32) for part in expected}
    return found


def with_token_heads(spec: EncoderSpec, heads: dict[str, Array], tokenizer: TokenizerFacts) -> EncoderSpec:
    """The spec with these heads. Special tokens but the mask have no term weight, as in FlagEmbedding."""
    tokens = json.loads(tokenizer.json).get("added_tokens", ())
    silent = tuple(
        sorted(token["id"] for token in tokens if token.get("special") and "mask" not in token["content"].lower())
    )
    return dataclasses.replace(
        spec,
        sparse=silent if "sparse.weight" in heads else None,
        multi_vector=len(heads["multi_vector.weight"]) if "multi_vector.weight" in heads else 0,
    )
