"""DeBERTa-v1 without disentangled attention: deepvk/USER-base, deepvk/deberta-v1-base.

With `relative_attention: false` it is BERT's block over learned positions, with three differences (source: transformers'
DisentangledSelfAttention): q, k and v are one product whose rows lie head by head, [q, k, v] of head 0 first; k has no
bias; the scale counts `pos_att_type` even where its terms are absent. The module also zeroes the embeddings of masked
tokens, which no vector of a real token sees: masked keys have no weight.
"""

from collections.abc import Callable

from strizh.export.checkpoint import Checkpoint
from strizh.export.families import bert
from strizh.export.families.heads import sequence_classifier
from strizh.export.spec import EncoderSpec, Layer, Pooling, Positions
from strizh.export.weights import Array, Source
from strizh.runtime.errors import UnsupportedModel

NAME = "deberta"
IGNORED = (*bert.IGNORED, r"lm_predictions\..*")


def matches(checkpoint: Checkpoint) -> bool:
    return checkpoint.config.get("model_type") == "deberta"


def describe(checkpoint: Checkpoint) -> EncoderSpec:
    config = checkpoint.config
    if config.get("relative_attention"):
        raise UnsupportedModel(
            f"{checkpoint.folder} has relative_attention: true, DeBERTa's disentangled attention, which no graph of strizh "
            "writes. Expected relative_attention: false; export this one with --method trace (portable-fp32 only)."
        )
    if bert.POSITION_TABLE not in checkpoint.names:
        raise UnsupportedModel(
            f"{checkpoint.folder} has neither relative attention nor {bert.POSITION_TABLE}, so that it cannot tell the "
            "order of words. Expected the table; download the checkpoint again."
        )
    shape = bert.geometry(checkpoint, norm_eps=1e-7)
    pooler = bert.activation_named(str(config.get("pooler_hidden_act", "gelu")), "pooler_hidden_act")
    terms = 1 + len(_position_terms(config.get("pos_att_type")))
    return EncoderSpec(
        **shape | {"attention_scale": (shape["head_size"] * terms) ** -0.5},
        family=NAME,
        positions=Positions.ABSOLUTE,
        max_positions=int(checkpoint.require("max_position_embeddings")),
        position_offset=0,
        pad_token_id=bert.pad_token_id(checkpoint),
        layers=(Layer(),) * int(checkpoint.require("num_hidden_layers")),
        attention_bias=(True, False, True, True),
        classifier=sequence_classifier(checkpoint, Pooling.CLS, pooler),
    )


def sources(checkpoint: Checkpoint, spec: EncoderSpec) -> dict[str, Source]:
    found = bert.sources(checkpoint, spec)
    for index in range(len(spec.layers)):
        slot, name = f"layers.{index}.attention", f"encoder.layer.{index}.attention.self"
        for side, part in enumerate("qkv"):
            found[f"{slot}.{part}.weight"] = Source((f"{name}.in_proj.weight",), _rows_of(side, spec.head_size))
        for part in "qv":
            found[f"{slot}.{part}.bias"] = Source((f"{name}.{part}_bias",))
    for part in ("weight", "bias"):
        found[f"classifier.dense.{part}"] = Source((f"pooler.dense.{part}",))
    return found


def _rows_of(side: int, head_size: int) -> Callable[[Array], Array]:
    """One of q, k, v out of the fused weight [heads * 3 * head_size, hidden]."""

    def pick(fused: Array) -> Array:
        hidden = fused.shape[1]
        return fused.reshape(-1, 3, head_size, hidden)[:, side].reshape(-1, hidden)

    return pick


def _position_terms(kinds: str | list[str] | None) -> list[str]:
    """`pos_att_type` is a list, or names with | between them."""
    return [kind for kind in kinds.split("|") if kind] if isinstance(kinds, str) else list(kinds or ())
