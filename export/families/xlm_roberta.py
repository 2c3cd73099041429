"""XLM-RoBERTa and RoBERTa: BERT's blocks, positions counted over the ids that are not padding, from `pad + 1`."""

from strizh.export.checkpoint import Checkpoint
from strizh.export.families import bert
from strizh.export.families.heads import sequence_classifier
from strizh.export.spec import EncoderSpec, Layer, Pooling, Positions
from strizh.export.weights import Source
from strizh.runtime.errors import CheckpointError

NAME = "xlm-roberta"
IGNORED = bert.IGNORED


def matches(checkpoint: Checkpoint) -> bool:
    absolute = checkpoint.config.text("position_embedding_type", "absolute") == "absolute"
    return checkpoint.model_type in ("xlm-roberta", "roberta", "camembert") and absolute


def describe(checkpoint: Checkpoint) -> EncoderSpec:
    if bert.POSITION_TABLE not in checkpoint.names:
        raise CheckpointError(
            f"{checkpoint.folder} calls itself {checkpoint.model_type!r} but has no {bert.POSITION_TABLE}. "
            "Expected the table; download the checkpoint again."
        )
    # The rows below pad + 1 belong to padding, so 514 positions hold 512 tokens.
    config = checkpoint.config
    pad, rows = config.index("pad_token_id", 1), config.count("max_position_embeddings")
    if rows <= pad + 1:
        raise config.wrong("max_position_embeddings", f"more than pad_token_id + 1, which is {pad + 1}")
    return EncoderSpec(
        **bert.geometry(config),
        family=NAME,
        positions=Positions.ABSOLUTE_BY_ID,
        max_positions=rows - pad - 1,
        position_offset=pad + 1,
        pad_token_id=pad,
        layers=(Layer(),) * bert.layer_count(config),
        classifier=sequence_classifier(checkpoint, Pooling.CLS, "tanh"),
    )


def sources(checkpoint: Checkpoint, spec: EncoderSpec) -> dict[str, Source]:
    found = bert.sources(checkpoint, spec)
    for slot, name in (("dense", "dense"), ("out", "out_proj")):
        for part in ("weight", "bias"):
            found[f"classifier.{slot}.{part}"] = Source((f"classifier.{name}.{part}",))
    return found
