"""A static model distilled from the checkpoint with model2vec's defaults, from the tokens that Latin and Cyrillic texts have."""

from importlib import metadata
from typing import Any

ENVIRONMENT = "model2vec"
# Its own default, and tokens with letters of other scripts: half of a multilingual vocabulary, and no text here has them.
_REMOVED = r"\[unused\d+\]|.*[^\W\d_\u0041-\u024F\u0400-\u052F]"


def key(source: str) -> str:
    """Changes with PyTorch's version and with the tokens; model2vec's own version is pinned by its environment."""
    return f"{metadata.version('torch')} {_REMOVED}"


def make(model: dict[str, Any], source: str, path: str) -> None:
    """One forward pass for each token that is left of the vocabulary."""
    from model2vec.distill import distill_from_model
    from transformers import AutoModel, AutoTokenizer

    from strizh.export.trace import register

    register()
    encoder = AutoModel.from_pretrained(model["checkpoint"], add_pooling_layer=False)
    tokenizer = AutoTokenizer.from_pretrained(model["checkpoint"])
    distill_from_model(encoder, tokenizer, token_remove_pattern=_REMOVED).save_pretrained(path)
