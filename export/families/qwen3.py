"""Qwen3 as an encoder: Qwen3-Embedding. A causal decoder of LLaMA's shape with a norm on each head of q and k.

The vector is that of the last token, which its tokenizer appends (source: transformers' Qwen3Model).
"""

from strizh.export.checkpoint import Checkpoint
from strizh.export.families.eurobert import llama_fields, llama_sources
from strizh.export.spec import EncoderSpec, Pooling
from strizh.export.weights import Source
from strizh.runtime.errors import UnsupportedModel

NAME = "qwen3"
IGNORED = (r"lm_head\..*", r"score\..*")


def matches(checkpoint: Checkpoint) -> bool:
    return checkpoint.config.get("model_type") == "qwen3"


def describe(checkpoint: Checkpoint) -> EncoderSpec:
    kinds = set(checkpoint.config.get("layer_types") or ())
    if checkpoint.config.get("use_sliding_window") or kinds - {"full_attention"}:
        raise UnsupportedModel(
            f"{checkpoint.folder} is a Qwen3 with sliding windows; strizh knows those that see all that came before, as "
            "Qwen3-Embedding does. Export with --method trace."
        )
    return EncoderSpec(**llama_fields(checkpoint), family=NAME, head_norm=True, causal=True, pooling=(Pooling.LAST,))


def sources(checkpoint: Checkpoint, spec: EncoderSpec) -> dict[str, Source]:
    return llama_sources(spec)
