"""ModernBERT: RuModernBERT, USER2, mmBERT.

Pre-norm with gated feed-forwards and rotary positions; two layers of three see a window only and may have a theta of their
own (source: transformers' ModernBertModel). The first layer has no norm before its attention: the embeddings' does it.
A classifier has a dense layer, its activation and a norm between what is pooled and its logits.
"""

from collections.abc import Mapping
from typing import Any

from strizh.export.checkpoint import Checkpoint
from strizh.export.families import bert
from strizh.export.families.heads import is_classifier, sequence_classifier
from strizh.export.rope import read_rope
from strizh.export.spec import Classifier, EncoderSpec, Layer, Pooling, Positions
from strizh.export.weights import Source, block
from strizh.runtime.errors import UnsupportedModel

NAME = "modernbert"
IGNORED = (r"head\..*", r"decoder\..*", r"classifier\..*")  # of masked language models and classifiers
_CLASSIFIER_POOLINGS = {"cls": Pooling.CLS, "mean": Pooling.MEAN}


def matches(checkpoint: Checkpoint) -> bool:
    return checkpoint.config.get("model_type") == "modernbert"


def describe(checkpoint: Checkpoint) -> EncoderSpec:
    config = checkpoint.config
    shape = bert.geometry(checkpoint) | {
        "activation": bert.activation_named(str(config.get("hidden_activation", "gelu")), "hidden_activation"),
        "norm_eps": float(config.get("norm_eps", 1e-5)),
    }
    limit = checkpoint.count("max_position_embeddings")
    attention, mlp = (bool(config.get(f"{part}_bias")) for part in ("attention", "mlp"))
    kinds = _kinds(config, checkpoint.count("num_hidden_layers"))
    window = int(config.get("local_attention", 128)) // 2
    ropes = {
        kind: read_rope({"rope_parameters": _rope(config, kind)}, shape["head_size"], limit) for kind in set(kinds)
    }
    return EncoderSpec(
        **shape,
        family=NAME,
        positions=Positions.ROTARY,
        max_positions=limit,
        position_offset=0,
        pad_token_id=bert.pad_token_id(checkpoint),
        layers=tuple(
            Layer(ropes[kind], window if kind == "sliding_attention" else None, attention_norm=index > 0)
            for index, kind in enumerate(kinds)
        ),
        gated_mlp=True,
        norm_bias=bool(config.get("norm_bias")),
        pre_norm=True,
        final_norm=True,
        attention_bias=(attention,) * 4,
        mlp_bias=(mlp, mlp),
        classifier=_classifier(checkpoint),
    )


def sources(checkpoint: Checkpoint, spec: EncoderSpec) -> dict[str, Source]:
    found = {
        "embeddings.word": Source(("embeddings.tok_embeddings.weight",)),
        **bert.pair("classifier.dense", "head.dense"),
        **bert.pair("classifier.norm", "head.norm"),
        **bert.pair("classifier.out", "classifier"),
    }
    for part in ("weight", "bias"):
        found |= {f"{slot}.{part}": Source((f"{slot}.{part}",)) for slot in ("embeddings.norm", "final_norm")}
        for index in range(len(spec.layers)):
            at = f"layers.{index}"
            for number, side in enumerate("qkv"):
                found[f"{at}.attention.{side}.{part}"] = Source((f"{at}.attn.Wqkv.{part}",), block(number, 3))
            for number, side in enumerate(("gate", "up")):
                found[f"{at}.mlp.{side}.{part}"] = Source((f"{at}.mlp.Wi.{part}",), block(number, 2))
            for slot, name in (("attention.o", "attn.Wo"), ("mlp.down", "mlp.Wo")):
                found[f"{at}.{slot}.{part}"] = Source((f"{at}.{name}.{part}",))
            for slot, name in (("attention.norm", "attn_norm"), ("mlp.norm", "mlp_norm")):
                found[f"{at}.{slot}.{part}"] = Source((f"{at}.{name}.{part}",))
    return found


def _classifier(checkpoint: Checkpoint) -> Classifier | None:
    config = checkpoint.config
    if not is_classifier(checkpoint):
        return None
    pooling = str(config.get("classifier_pooling", "cls"))
    if pooling not in _CLASSIFIER_POOLINGS:
        raise UnsupportedModel(
            f"classifier_pooling {pooling!r} is not known; known: {', '.join(_CLASSIFIER_POOLINGS)}."
        )
    kind = bert.activation_named(str(config.get("classifier_activation", "gelu")), "classifier_activation")
    return sequence_classifier(
        checkpoint,
        _CLASSIFIER_POOLINGS[pooling],
        kind,
        hidden_bias=bool(config.get("classifier_bias")),
        hidden_norm=True,
    )


def _kinds(config: Mapping[str, Any], layers: int) -> list[str]:
    """`full_attention` or `sliding_attention` of every layer; older configs only say how often the first comes."""
    every = int(config.get("global_attn_every_n_layers", 3))
    usual = ["sliding_attention" if index % every else "full_attention" for index in range(layers)]
    return list(config.get("layer_types") or usual)


def _rope(config: Mapping[str, Any], kind: str) -> Mapping[str, Any]:
    """`rope_parameters` of one kind of layer. A local theta of null means the global one."""
    stated = (config.get("rope_parameters") or {}).get(kind) or {}
    theta = config.get("global_rope_theta", 160000.0)
    if kind == "sliding_attention":
        theta = config.get("local_rope_theta", 10000.0) or theta
    return {"rope_theta": theta} | (config.get("rope_scaling") or {}) | stated
