"""RoPEBert: BERT with rotary positions instead of a table. ruRoPEBert-e5-base-512/-2k, -classic-base-512/-2k.

The published checkpoints say `model_type: "bert"`; what tells them apart is their class names, `rope_theta`, and that
there is no position table (source: the published config.json files).
"""

from strizh.export.checkpoint import Checkpoint
from strizh.export.families import bert
from strizh.export.families.heads import sequence_classifier
from strizh.export.rope import read_rope
from strizh.export.spec import EncoderSpec, Layer, Pooling, Positions
from strizh.export.weights import Source
from strizh.runtime.errors import CheckpointError

NAME = "ropebert"
IGNORED = bert.IGNORED


def matches(checkpoint: Checkpoint) -> bool:
    config = checkpoint.config
    if checkpoint.model_type not in ("bert", "rope_bert", "ropebert"):
        return False
    names = (*config.texts("architectures"), *config.section("auto_map").fields.values())
    declared = any("RoPEBert" in str(name) for name in names)
    rotary = "rope_theta" in config.fields or "rope_parameters" in config.fields
    return declared or (rotary and bert.POSITION_TABLE not in checkpoint.names)


def describe(checkpoint: Checkpoint) -> EncoderSpec:
    if bert.POSITION_TABLE in checkpoint.names:
        raise CheckpointError(
            f"{checkpoint.folder} declares RoPEBert but holds {bert.POSITION_TABLE}. Expected one kind of position: remove "
            "the RoPEBert class names from config.json if it is a plain BERT."
        )
    shape = bert.geometry(checkpoint.config)
    limit = checkpoint.config.count("max_position_embeddings")
    pooling = Pooling(_pooler_type(checkpoint))
    return EncoderSpec(
        **shape,
        family=NAME,
        positions=Positions.ROTARY,
        max_positions=limit,
        position_offset=0,
        pad_token_id=bert.pad_token_id(checkpoint),
        layers=(Layer(rope=read_rope(checkpoint.config, shape["head_size"], limit)),)
        * bert.layer_count(checkpoint.config),
        pooling=(pooling,),
        classifier=sequence_classifier(checkpoint, pooling),
    )


def sources(checkpoint: Checkpoint, spec: EncoderSpec) -> dict[str, Source]:
    word = "embeddings.word_embeddings.weight"
    return {
        "embeddings.word": Source((word, *bert.token_types(checkpoint)), bert.add_first_row),
        **bert.encoder_sources(spec),
        **bert.head_sources(),
    }


def _pooler_type(checkpoint: Checkpoint) -> str:
    kind = checkpoint.config.text("pooler_type", "mean")
    if kind not in ("mean", "first_token_transform"):
        raise checkpoint.config.wrong("pooler_type", "mean or first_token_transform, which RoPEBert has")
    return kind
