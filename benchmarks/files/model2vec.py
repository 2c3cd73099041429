"""A static model distilled from the checkpoint with model2vec's defaults."""

from importlib import metadata
from typing import Any

ENVIRONMENT = "model2vec"


def key(source: str) -> str:
    """Changes with PyTorch's version; model2vec's own is pinned by its environment."""
    return metadata.version("torch")


def make(model: dict[str, Any], source: str, path: str) -> None:
    """One forward pass for each token of the vocabulary."""
    from model2vec.distill import distill_from_model
    from transformers import AutoModel, AutoTokenizer

    from strizh.export.trace import register

    register()
    encoder = AutoModel.from_pretrained(model["checkpoint"], add_pooling_layer=False)
    distill_from_model(encoder, AutoTokenizer.from_pretrained(model["checkpoint"])).save_pretrained(path)
