"""DeBERTa-v1: deepvk/USER-base and deepvk/deberta-v1-base without disentangled attention, microsoft/deberta-base with it.

BERT's block with three differences (source: transformers' DisentangledSelfAttention): q, k and v are one product whose rows
lie head by head, [q, k, v] of head 0 first; k has no bias; the scale counts `pos_att_type` even where its terms are absent.
The module also zeroes the embeddings of masked tokens, which no vector of a real token sees: masked keys have no weight.
"""

from collections.abc import Callable

from strizh.export.checkpoint import Checkpoint
from strizh.export.families import bert
from strizh.export.families.disentangled import described, position_source
from strizh.export.families.heads import is_classifier, sequence_classifier
from strizh.export.spec import Classifier, EncoderSpec, Layer, Pooling, Positions
from strizh.export.weights import Array, Source

NAME = "deberta"
IGNORED = (*bert.IGNORED, r"lm_predictions\..*", r"embeddings\.position_embeddings\.weight")


def matches(checkpoint: Checkpoint) -> bool:
    return checkpoint.model_type == "deberta"


def describe(checkpoint: Checkpoint) -> EncoderSpec:
    shape = bert.geometry(checkpoint.config, norm_eps=1e-7)
    positions, terms = described(checkpoint, fixed={"talking_head": False})
    return EncoderSpec(
        **shape | positions | {"attention_scale": (shape["head_size"] * (1 + len(terms))) ** -0.5},
        family=NAME,
        position_offset=0,
        pad_token_id=bert.pad_token_id(checkpoint),
        layers=(Layer(),) * bert.layer_count(checkpoint.config),
        attention_bias=(True, False, True, True),
        classifier=context_classifier(checkpoint),
    )


def sources(checkpoint: Checkpoint, spec: EncoderSpec) -> dict[str, Source]:
    found = encoder_sources(checkpoint, spec)
    for index in range(len(spec.layers)):
        slot, name = f"layers.{index}.attention", f"encoder.layer.{index}.attention.self"
        for side, part in enumerate("qkv"):
            found[f"{slot}.{part}.weight"] = Source((f"{name}.in_proj.weight",), _rows_of(side, spec.head_size))
        for part in "qv":
            found[f"{slot}.{part}.bias"] = Source((f"{name}.{part}_bias",))
        found[f"{slot}.position_key"] = position_source(spec, f"{name}.pos_proj", bias=False)
        found[f"{slot}.position_query"] = position_source(spec, f"{name}.pos_q_proj")
    return found


def context_classifier(checkpoint: Checkpoint) -> Classifier | None:
    """DeBERTa's head: the first token through a dense layer with `pooler_hidden_act`, then one linear layer."""
    if not is_classifier(checkpoint):
        return None
    return sequence_classifier(checkpoint, Pooling.CLS, bert.activation(checkpoint.config, "pooler_hidden_act", "gelu"))


def encoder_sources(checkpoint: Checkpoint, spec: EncoderSpec) -> dict[str, Source]:
    """What every DeBERTa stores as BERT does: embeddings, output products, feed-forwards, norms and the head."""
    found = bert.sources(checkpoint, spec)
    if spec.positions is Positions.DISENTANGLED:
        words = ("embeddings.word_embeddings.weight", *bert.token_types(checkpoint))
        found["embeddings.word"] = Source(words, bert.add_first_row)
    return found | bert.pair("classifier.dense", "pooler.dense")


def _rows_of(side: int, head_size: int) -> Callable[[Array], Array]:
    """One of q, k, v out of the fused weight [heads * 3 * head_size, hidden]."""

    def pick(fused: Array) -> Array:
        hidden = fused.shape[1]
        return fused.reshape(-1, 3, head_size, hidden)[:, side].reshape(-1, hidden)

    return pick
