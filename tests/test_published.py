"""Published checkpoints, end to end: the scores that their own cards print, from text to similarity.

Runs where the weights are: STRIZH_CHECKPOINTS names a folder of checkpoint folders (`name` or `organisation/name`), STRIZH_CARDS
the file of the cards' texts, scores and tolerances. Neither is part of the project.
"""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import strizh
from strizh.export import export_model
from strizh.runtime.errors import UnsupportedModel

CHECKPOINTS, CARDS = os.environ.get("STRIZH_CHECKPOINTS"), os.environ.get("STRIZH_CARDS")
if not (CHECKPOINTS and CARDS):
    pytest.skip(
        "needs published weights: set STRIZH_CHECKPOINTS to a folder of checkpoints and STRIZH_CARDS to the cards' file",
        allow_module_level=True,
    )


def find(model: str) -> Path:
    """The folder of a model, or a skip that says where it was looked for."""
    candidates = [Path(CHECKPOINTS) / model, Path(CHECKPOINTS) / model.rsplit("/", 1)[-1]]
    for folder in candidates:
        if (folder / "config.json").is_file():
            return folder
    pytest.skip(f"no checkpoint of {model}: neither {candidates[0]} nor {candidates[1]} holds a config.json")


def texts_of(card: dict[str, Any]) -> tuple[list[str], list[str]]:
    if "matrix" in card:
        return card["matrix"]["rows"], card["matrix"]["columns"]
    return [pair["a"] for pair in card["pairs"]], [pair["b"] for pair in card["pairs"]]


def scores_of(card: dict[str, Any], left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """In the card's own form: a matrix of rows and columns, or one score a pair, times its scale."""
    scores = left @ right.T if "matrix" in card else (left * right).sum(-1)
    return card.get("scale", 1.0) * scores


def torch_vectors(folder: Path, card: dict[str, Any], texts: list[str]) -> np.ndarray:
    """Vectors of transformers' tokenizer and PyTorch in float32, each text alone; for a card that prints no score."""
    import torch
    from transformers import AutoTokenizer

    from strizh.export.spec import Pooling
    from strizh.export.trace.load import load_encoder
    from strizh.export.trace.sentence import SentenceEncoder

    pooling = [Pooling(card["pooling"])]
    module = SentenceEncoder(load_encoder(folder, pooling), pooling, normalize=card["normalize"]).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
    rows = []
    with torch.no_grad():
        for text in texts:
            ids = tokenizer(text, truncation=True, max_length=card["max_length"], return_tensors="pt")["input_ids"]
            rows.append(module(ids, torch.ones_like(ids))[1][0].numpy())
    return np.stack(rows)


@pytest.mark.slow
@pytest.mark.parametrize("card", json.loads(Path(CARDS).read_text())["cards"], ids=lambda card: card["model"])
def test_the_cards_own_scores(card: dict[str, Any], tmp_path: Path) -> None:
    folder = find(card["model"])
    try:
        export_model(
            folder,
            tmp_path / "bundle",
            variants=["portable-fp32"],
            pooling=card["pooling"],
            normalize=card["normalize"],
            max_length=card["max_length"],
            verify=False,
        )
    except UnsupportedModel as error:
        pytest.skip(str(error))
    left, right = texts_of(card)
    with strizh.load(tmp_path / "bundle", variant="portable-fp32") as encoder:
        # The cards' texts are complete, prompt included.
        found = [encoder.encode(texts, prompt="") for texts in (left, right)]
        if card["scores"] is None:
            expected = [torch_vectors(folder, card, texts) for texts in (left, right)]
            np.testing.assert_allclose(np.concatenate(found), np.concatenate(expected), rtol=0, atol=2e-5)
        else:
            np.testing.assert_allclose(scores_of(card, *found), card["scores"], rtol=0, atol=card["tolerance"])
