"""BERT: post-norm blocks over learned absolute positions. multilingual-e5-small, LaBSE, rubert-mini and their kin."""

from collections.abc import Iterable
from typing import Any

import numpy as np

from strizh.export.checkpoint import Checkpoint
from strizh.export.families.heads import sequence_classifier
from strizh.export.settings import Settings
from strizh.export.spec import Activation, EncoderSpec, Layer, Pooling, Positions
from strizh.export.weights import Array, Source
from strizh.runtime.errors import CheckpointError, UnsupportedModel

NAME = "bert"
POSITION_TABLE = "embeddings.position_embeddings.weight"
# The pre-training heads, the pooler where pooling does not use it, and buffers of older transformers.
IGNORED = (r"cls\..*", r"pooler\.dense\..*", r".*\.(position_ids|token_type_ids)", r"lm_head\..*", r"classifier\..*")

_MOST_LAYERS = 10_000  # far beyond every encoder: a wrong number is not to fill the memory
_ACTIVATIONS = {
    "gelu": Activation.GELU,
    "gelu_new": Activation.GELU_TANH,
    "gelu_pytorch_tanh": Activation.GELU_TANH,
    "gelu_fast": Activation.GELU_TANH,
    "silu": Activation.SILU,
    "swish": Activation.SILU,
    "relu": Activation.RELU,
}


def matches(checkpoint: Checkpoint) -> bool:
    return checkpoint.model_type == "bert"


def describe(checkpoint: Checkpoint) -> EncoderSpec:
    if POSITION_TABLE not in checkpoint.names:
        raise CheckpointError(
            f"{checkpoint.folder} calls itself a BERT but has no {POSITION_TABLE}: with random positions its vectors would "
            "be noise. Expected the table, or rope_theta in config.json if the model is rotary."
        )
    kind = checkpoint.config.text("position_embedding_type", "absolute")
    if kind != "absolute":
        raise UnsupportedModel(
            f"position_embedding_type {kind!r} has no family; 'absolute' has. Export with --method trace."
        )
    return EncoderSpec(
        **geometry(checkpoint.config),
        family=NAME,
        positions=Positions.ABSOLUTE,
        max_positions=checkpoint.config.count("max_position_embeddings"),
        position_offset=0,
        pad_token_id=pad_token_id(checkpoint),
        layers=(Layer(),) * layer_count(checkpoint.config),
        classifier=sequence_classifier(checkpoint, Pooling.FIRST_TOKEN_TRANSFORM),
    )


def sources(checkpoint: Checkpoint, spec: EncoderSpec) -> dict[str, Source]:
    return {
        "embeddings.word": Source(("embeddings.word_embeddings.weight",)),
        "embeddings.position": Source((POSITION_TABLE, *token_types(checkpoint)), add_first_row),
        **encoder_sources(spec),
        **head_sources(),
    }


def geometry(config: Settings, norm_eps: float = 1e-12) -> dict[str, Any]:
    """The fields of a spec that every BERT-shaped config spells alike; `norm_eps` where the config has none."""
    hidden, heads = config.count("hidden_size"), config.count("num_attention_heads")
    if config.flag("is_decoder"):
        raise UnsupportedModel(
            f"{config.at} has is_decoder true; strizh exports bidirectional encoders of this family."
        )
    size = head_size(config, hidden, heads)
    return {
        "vocab_size": config.count("vocab_size"),
        "hidden_size": hidden,
        "num_heads": heads,
        "num_kv_heads": heads,
        "head_size": size,
        "intermediate_size": config.count("intermediate_size"),
        "activation": activation(config, "hidden_act", "gelu"),
        "norm_eps": config.positive("layer_norm_eps", norm_eps),
        "attention_scale": size**-0.5,
    }


def head_size(config: Settings, hidden: int, heads: int) -> int:
    """Numbers in a head, where the heads share the hidden size."""
    if hidden % heads:
        raise config.wrong("hidden_size", f"a multiple of {config.name('num_attention_heads')} {heads}")
    return hidden // heads


def layer_count(config: Settings, key: str = "num_hidden_layers") -> int:
    """How many layers an encoder has."""
    return config.count(key, most=_MOST_LAYERS)


def activation(config: Settings, key: str, default: str) -> Activation:
    """The activation whose transformers name a config has under `key`."""
    return activation_named(config.text(key, default), key, config)


def activation_named(name: str, key: str, config: Settings) -> Activation:
    """An activation by its transformers name, which is from `key` of the config."""
    if name not in _ACTIVATIONS:
        raise unsupported(config, key, name, _ACTIVATIONS)
    return _ACTIVATIONS[name]


def pad_token_id(checkpoint: Checkpoint) -> int:
    """The tokenizer's pad id: config.json is wrong about it in several published checkpoints."""
    found = checkpoint.tokenizer.pad_token_id
    return checkpoint.config.index("pad_token_id", 0) if found is None else found


def token_types(checkpoint: Checkpoint) -> tuple[str, ...]:
    """The token type table, whose first row every token of a single text gets."""
    name = "embeddings.token_type_embeddings.weight"
    return (name,) if name in checkpoint.names or checkpoint.config.index("type_vocab_size", 0) else ()


def unsupported(config: Settings, key: str, found: str, known: Iterable[str]) -> UnsupportedModel:
    """The error for a value that other models may have, with those that strizh knows."""
    return UnsupportedModel(
        f"{config.at} has {config.name(key)} {found!r}; expected one of {', '.join(known)}. "
        "Export with --method trace (portable-fp32 only)."
    )


def add_first_row(table: Array, *rows: Array) -> Array:
    """Fold the constant token type into a table that is added anyway."""
    for types in rows:
        table = np.add(table, types[:1], out=table if table.flags.writeable else None)
    return table


def less_first_row(table: Array) -> Array:
    """What the other rows add to the first, which is folded into another table."""
    return np.subtract(table, table[:1])


def encoder_sources(spec: EncoderSpec) -> dict[str, Source]:
    """Embedding norm and layers under stock BERT names."""
    found = pair("embeddings.norm", "embeddings.LayerNorm")
    for index in range(len(spec.layers)):
        slot, name = f"layers.{index}", f"encoder.layer.{index}"
        for short, full in (("q", "query"), ("k", "key"), ("v", "value")):
            found |= pair(f"{slot}.attention.{short}", f"{name}.attention.self.{full}")
        found |= pair(f"{slot}.attention.o", f"{name}.attention.output.dense")
        found |= pair(f"{slot}.attention.norm", f"{name}.attention.output.LayerNorm")
        found |= pair(f"{slot}.mlp.up", f"{name}.intermediate.dense")
        found |= pair(f"{slot}.mlp.down", f"{name}.output.dense")
        found |= pair(f"{slot}.mlp.norm", f"{name}.output.LayerNorm")
    return found


def head_sources() -> dict[str, Source]:
    """Pooler and classifier under stock BERT names, and the token types that a classifier of pairs reads."""
    types = {"embeddings.token_type": Source(("embeddings.token_type_embeddings.weight",), less_first_row)}
    return types | pair("pooler", "pooler.dense") | pair("classifier.out", "classifier")


def pair(slot: str, name: str) -> dict[str, Source]:
    """Weight and bias of a linear layer or a norm."""
    return {f"{slot}.{part}": Source((f"{name}.{part}",)) for part in ("weight", "bias")}
