"""GTE: gte-multilingual-base, snowflake-arctic-embed-m-v2.0. BERT's post-norm block, rotary, with a gated feed-forward.

gte-multilingual-base calls itself `new` and scales its rotary frequencies by a fixed NTK form, which transformers 5, that
calls it `gte`, spells as another theta and a linear factor (source: models `new` and `gte` and their conversion mapping).
"""

from strizh.export.checkpoint import Checkpoint
from strizh.export.families import bert
from strizh.export.families.heads import sequence_classifier
from strizh.export.rope import read_rope
from strizh.export.spec import EncoderSpec, Layer, Pooling, Positions, Scaling
from strizh.export.weights import Source, block
from strizh.runtime.errors import UnsupportedModel

NAME = "gte"
IGNORED = bert.IGNORED

_THETAS = {"gte": 160000.0, "new": 10000.0}  # where the config has none
# Other values of these fields make another architecture.
_FIXED = {
    "position_embedding_type": "rope",
    "layer_norm_type": "layer_norm",
    "logn_attention_scale": False,
    "pack_qkv": True,
}


def matches(checkpoint: Checkpoint) -> bool:
    return checkpoint.model_type in _THETAS


def describe(checkpoint: Checkpoint) -> EncoderSpec:
    config = checkpoint.config
    if other := config.other_than(_FIXED):
        raise UnsupportedModel(
            f"{config.at} is a GTE's with {', '.join(f'{key}: {value}' for key, value in other.items())}; strizh knows "
            f"{', '.join(f'{key}: {_FIXED[key]}' for key in other)}, which gte-multilingual-base has."
        )
    shape = bert.geometry(config)
    limit = config.count("max_position_embeddings")
    rope = read_rope(config, shape["head_size"], limit, _THETAS[checkpoint.model_type], {"ntk": Scaling.NTK})
    return EncoderSpec(
        **shape,
        family=NAME,
        positions=Positions.ROTARY,
        max_positions=limit,
        position_offset=0,
        pad_token_id=bert.pad_token_id(checkpoint),
        layers=(Layer(rope),) * bert.layer_count(config),
        gated_mlp=True,
        mlp_bias=(False, True),
        classifier=sequence_classifier(checkpoint, Pooling.FIRST_TOKEN_TRANSFORM),
        pooling=(Pooling.CLS,),
    )


def sources(checkpoint: Checkpoint, spec: EncoderSpec) -> dict[str, Source]:
    word = "embeddings.word_embeddings.weight"
    found = {"embeddings.word": Source((word, *bert.token_types(checkpoint)), bert.add_first_row)}
    for index in range(len(spec.layers)):
        slot, name = f"layers.{index}", f"encoder.layer.{index}"
        for part in ("weight", "bias"):
            for number, side in enumerate("qkv"):
                found[f"{slot}.attention.{side}.{part}"] = Source(
                    (f"{name}.attention.qkv_proj.{part}",), block(number, 3)
                )
        for number, side in enumerate(("up", "gate")):
            found[f"{slot}.mlp.{side}.weight"] = Source((f"{name}.mlp.up_gate_proj.weight",), block(number, 2))
        for inner, stored in (
            ("attention.o", "attention.o_proj"),
            ("mlp.down", "mlp.down_proj"),
            ("attention.norm", "attn_ln"),
            ("mlp.norm", "mlp_ln"),
        ):
            found |= bert.pair(f"{slot}.{inner}", f"{name}.{stored}")
    return found | bert.pair("embeddings.norm", "embeddings.LayerNorm") | bert.head_sources()
