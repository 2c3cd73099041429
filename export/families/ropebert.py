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
    if config.get("model_type") not in ("bert", "rope_bert", "ropebert"):
        return False
    names = (*(config.get("architectures") or ()), *(config.get("auto_map") or {}).values())
    declared = any("RoPEBert" in str(name) for name in names)
    rotary = "rope_theta" in config or "rope_parameters" in config
    return declared or (rotary and bert.POSITION_TABLE not in checkpoint.names)


def describe(checkpoint: Checkpoint) -> EncoderSpec:
    if bert.POSITION_TABLE in checkpoint.names:
        raise CheckpointError(
            f"{checkpoint.folder} declares RoPEBert but holds {bert.POSITION_TABLE}. Expected one kind of position: remove "
            "the RoPEBert class names from config.json if it is a plain BERT."
        )
    shape = bert.geometry(checkpoint)
    limit = checkpoint.count("max_position_embeddings")
    pooling = Pooling(_pooler_type(checkpoint))
    return EncoderSpec(
        **shape,
        family=NAME,
        positions=Positions.ROTARY,
        max_positions=limit,
        position_offset=0,
        pad_token_id=bert.pad_token_id(checkpoint),
        layers=(Layer(rope=read_rope(checkpoint.config, shape["head_size"], limit)),)
        * checkpoint.count("num_hidden_layers"),
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
    kind = str(checkpoint.config.get("pooler_type") or "mean")
    if kind not in ("mean", "first_token_transform"):
        raise CheckpointError(
            f"config.json has pooler_type {kind!r}; RoPEBert knows 'mean' and 'first_token_transform'."
        )
    return kind
