"""Qwen3 as an encoder: Qwen3-Embedding. A causal decoder of LLaMA's shape with a norm on each head of q and k.

The vector is that of the last token, which its tokenizer appends (source: transformers' Qwen3Model).
"""

from tokenizers import Tokenizer

from strizh.export.checkpoint import Checkpoint
from strizh.export.families.eurobert import llama_fields, llama_sources
from strizh.export.families.heads import is_classifier, sequence_classifier
from strizh.export.spec import Classifier, EncoderSpec, Pooling
from strizh.export.weights import Source
from strizh.runtime.errors import UnsupportedModel

NAME = "qwen3"
IGNORED = (r"lm_head\..*", r"score\..*")


def matches(checkpoint: Checkpoint) -> bool:
    return checkpoint.model_type == "qwen3"


def describe(checkpoint: Checkpoint) -> EncoderSpec:
    kinds = set(checkpoint.config.texts("layer_types"))
    if checkpoint.config.flag("use_sliding_window") or kinds - {"full_attention"}:
        raise UnsupportedModel(
            f"{checkpoint.folder} is a Qwen3 with sliding windows; strizh knows those that see all that came before, as "
            "Qwen3-Embedding does. Export with --method trace."
        )
    return EncoderSpec(
        **llama_fields(checkpoint),
        family=NAME,
        head_norm=True,
        causal=True,
        pooling=(Pooling.LAST,),
        classifier=_classifier(checkpoint),
    )


def sources(checkpoint: Checkpoint, spec: EncoderSpec) -> dict[str, Source]:
    return llama_sources(spec) | {"classifier.out.weight": Source(("score.weight",))}


def _classifier(checkpoint: Checkpoint) -> Classifier | None:
    """One linear layer on the last token; transformers takes the last that is not `pad_token_id`."""
    pad = checkpoint.config.index("pad_token_id") if checkpoint.config.has("pad_token_id") else None
    if is_classifier(checkpoint) and _last_of_every_text(checkpoint) == [pad]:
        raise UnsupportedModel(
            f"{checkpoint.folder} is a classifier whose tokenizer ends every text with pad_token_id {pad}, which transformers "
            "passes over to find the last token. Expected another token there or none; set config.json's pad_token_id apart."
        )
    return sequence_classifier(checkpoint, Pooling.LAST, out_bias=False)


def _last_of_every_text(checkpoint: Checkpoint) -> list[int]:
    """The id that the tokenizer puts behind a text, if it does."""
    tokenizer = Tokenizer.from_str(checkpoint.tokenizer.json)
    tokenizer.no_padding()
    return list(tokenizer.encode("").ids[-1:])
