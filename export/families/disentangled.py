"""Positions of the DeBERTa families: a learned table, or disentangled attention, as their configs ask for."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from strizh.export.checkpoint import Checkpoint
from strizh.export.families import bert
from strizh.export.settings import Settings
from strizh.export.spec import EncoderSpec, Positions
from strizh.export.weights import Array, Source
from strizh.kernels.reference import layer_norm, linear
from strizh.runtime.errors import UnsupportedModel

_TERMS = ("c2p", "p2c")
_DISTANCES = "encoder.rel_embeddings.weight"


def described(checkpoint: Checkpoint, fixed: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """The fields of a spec that say where its positions come from, and the names in `pos_att_type`.

    `fixed` are fields of the config, beside those of all DeBERTas, whose other values make another architecture.
    """
    config = checkpoint.config
    _refuse_others(config, {"embedding_size": config.count("hidden_size"), **fixed})
    kinds, limit = _kinds(config), config.count("max_position_embeddings")
    relative, table = config.flag("relative_attention"), config.flag("position_biased_input", True)
    unknown = [kind for kind in kinds if kind not in _TERMS]
    if relative and kinds and (unknown or table):
        asked = (
            f"pos_att_type {unknown[0]!r}" if unknown else "position_biased_input: true, a table of positions as well"
        )
        raise UnsupportedModel(
            f"{checkpoint.folder} has disentangled attention with {asked}. Expected pos_att_type of {' and '.join(_TERMS)} and "
            "position_biased_input: false; export this one with --method trace (portable-fp32 only)."
        )
    if relative and kinds:
        side, reach = _sizes(config, limit)
        return {
            "positions": Positions.DISENTANGLED,
            "max_positions": limit,
            "relative_buckets": 2 * side,
            "relative_max_distance": reach,
            "position_terms": tuple(term for term in _TERMS if term in kinds),
        }, kinds
    if not table or bert.POSITION_TABLE not in checkpoint.names:
        raise UnsupportedModel(
            f"{checkpoint.folder} has neither relative attention nor {bert.POSITION_TABLE}, so that it cannot tell the "
            "order of words. Expected the table; download the checkpoint again."
        )
    return {"positions": Positions.ABSOLUTE, "max_positions": limit}, kinds


def position_source(spec: EncoderSpec, product: str, *, bias: bool = True, norm: str | None = None) -> Source:
    """A layer's position table, which is the same for every text: the distances' vectors times the product's weight.

    `norm` is the layer norm that the distances' vectors go through first.
    """
    names = [_DISTANCES, *(f"{norm}.{part}" for part in ("weight", "bias") if norm)]
    names += [f"{product}.weight", *([f"{product}.bias"] if bias else [])]

    def project(distances: Array, *tensors: Array) -> Array:
        rows: Any = distances[: spec.relative_buckets]
        own = tensors
        if norm:
            weight, shift, *_ = tensors
            rows, own = layer_norm(rows, weight, shift, spec.norm_eps), tensors[2:]
        return linear(rows, *own).astype(np.float32)

    return Source(tuple(names), project)


def _sizes(config: Settings, limit: int) -> tuple[int, int]:
    """Rows of a table on each side, and where its logarithmic buckets end; 0 where every distance has a row."""
    reach = config.whole("max_relative_positions", -1)
    reach = limit if reach < 1 else reach
    buckets = config.whole("position_buckets", -1) if config.text("model_type") == "deberta-v2" else -1
    return (buckets, reach) if buckets > 0 else (reach, 0)


def _kinds(config: Settings) -> list[str]:
    """`pos_att_type` is a list, or names with | between them."""
    stated = config.text_or_texts("pos_att_type")
    return [kind.strip().lower() for kind in "|".join(stated).split("|") if kind.strip()]


def _refuse_others(config: Settings, fixed: Mapping[str, Any]) -> None:
    if other := config.other_than(fixed):
        raise UnsupportedModel(
            f"{config.at} is a DeBERTa's with {', '.join(f'{key}: {value}' for key, value in other.items())}; strizh knows "
            f"{', '.join(f'{key}: {fixed[key]}' for key in other)}. Export with --method trace (portable-fp32 only)."
        )
