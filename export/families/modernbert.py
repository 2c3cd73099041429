"""ModernBERT: RuModernBERT, USER2, mmBERT.

Pre-norm with gated feed-forwards and rotary positions; two layers of three see a window only and may have a theta of their
own (source: transformers' ModernBertModel). The first layer has no norm before its attention: the embeddings' does it.
A classifier has a dense layer, its activation and a norm between what is pooled and its logits.
"""

from strizh.export.checkpoint import Checkpoint
from strizh.export.families import bert
from strizh.export.families.heads import is_classifier, sequence_classifier
from strizh.export.rope import rope_of
from strizh.export.settings import Settings
from strizh.export.spec import Classifier, EncoderSpec, Layer, Pooling, Positions, Rope
from strizh.export.weights import Source, block

NAME = "modernbert"
IGNORED = (r"head\..*", r"decoder\..*", r"classifier\..*")  # of masked language models and classifiers
_FULL, _SLIDING = "full_attention", "sliding_attention"
_CLASSIFIER_POOLINGS = {"cls": Pooling.CLS, "mean": Pooling.MEAN}


def matches(checkpoint: Checkpoint) -> bool:
    return checkpoint.model_type == "modernbert"


def describe(checkpoint: Checkpoint) -> EncoderSpec:
    config = checkpoint.config
    shape = bert.geometry(config) | {
        "activation": bert.activation(config, "hidden_activation", "gelu"),
        "norm_eps": config.positive("norm_eps", 1e-5),
    }
    limit = config.count("max_position_embeddings")
    attention, mlp = (config.flag(f"{part}_bias") for part in ("attention", "mlp"))
    kinds = _kinds(config)
    window = config.count("local_attention", 128) // 2
    ropes = {kind: _rope(config, kind, shape["head_size"], limit) for kind in set(kinds)}
    return EncoderSpec(
        **shape,
        family=NAME,
        positions=Positions.ROTARY,
        max_positions=limit,
        position_offset=0,
        pad_token_id=bert.pad_token_id(checkpoint),
        layers=tuple(
            Layer(ropes[kind], window if kind == _SLIDING else None, attention_norm=index > 0)
            for index, kind in enumerate(kinds)
        ),
        gated_mlp=True,
        norm_bias=config.flag("norm_bias"),
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
    pooling = config.text("classifier_pooling", "cls")
    if pooling not in _CLASSIFIER_POOLINGS:
        raise bert.unsupported(config, "classifier_pooling", pooling, _CLASSIFIER_POOLINGS)
    return sequence_classifier(
        checkpoint,
        _CLASSIFIER_POOLINGS[pooling],
        bert.activation(config, "classifier_activation", "gelu"),
        hidden_bias=config.flag("classifier_bias"),
        hidden_norm=True,
    )


def _kinds(config: Settings) -> tuple[str, ...]:
    """The kind of every layer; older configs only say how often one that sees everything comes."""
    layers, every = bert.layer_count(config), config.count("global_attn_every_n_layers", 3)
    stated = config.texts("layer_types")
    if stated and (len(stated) != layers or {*stated} - {_FULL, _SLIDING}):
        raise config.wrong("layer_types", f"{_FULL} or {_SLIDING} for each of num_hidden_layers {layers}")
    return stated or tuple(_SLIDING if index % every else _FULL for index in range(layers))


def _rope(config: Settings, kind: str, head_size: int, limit: int) -> Rope:
    """The rope of one kind of layer. A local theta of null means the global one."""
    theta = config.positive("global_rope_theta", 160000.0)
    if kind == _SLIDING:
        theta = config.positive("local_rope_theta", theta if "local_rope_theta" in config.fields else 10000.0)
    scaling, stated = config.section("rope_scaling"), config.section("rope_parameters").section(kind)
    both = Settings(stated.at if stated.fields else scaling.at, scaling.fields | stated.fields)
    return rope_of(both, head_size, limit, both.positive("rope_theta", theta))
