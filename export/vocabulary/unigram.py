"""Unigram (SentencePiece): a text becomes the pieces whose scores add up to most.

The best path over a text stays the best among fewer pieces, as long as its own are there: nothing that stays gains
anything. Only the price of an unknown character is relative to the whole vocabulary, its lowest score less ten.
"""

from collections.abc import Mapping
from typing import Any

Model = dict[str, Any]


def pieces(model: Model) -> dict[str, int]:
    """Every piece and its id."""
    return {piece: index for index, (piece, _) in enumerate(model["vocab"])}


def written(model: Model, piece: str) -> str:
    """What of a piece is text."""
    return "" if _is_byte(piece) else piece


def always(model: Model) -> set[int]:
    """Ids that have to stay: all that keeps a text from becoming unknown, and the piece with the lowest score."""
    vocab = model["vocab"]
    found = {min(range(len(vocab)), key=lambda index: vocab[index][1])}
    if model.get("unk_id") is not None:
        found.add(model["unk_id"])
    letters = {piece for piece, _ in vocab if len(piece) == 1}

    def goes(piece: str) -> bool:
        # A piece with a character that is no piece by itself could not be spelled without it.
        return len(piece) > 1 and letters.issuperset(piece) and not _is_byte(piece)

    return found | {index for index, (piece, _) in enumerate(vocab) if not goes(piece)}


def closed(model: Model, kept: set[int]) -> set[int]:
    """The kept ids with those that they are made of: a piece of this model is found as a whole."""
    return kept


def cut(model: Model, new: Mapping[int, int]) -> Model:
    """The model with the pieces `new`, old id -> new id in the same order."""
    unknown = model.get("unk_id")
    return model | {
        "vocab": [entry for index, entry in enumerate(model["vocab"]) if index in new],
        "unk_id": None if unknown is None else new[unknown],
    }


def _is_byte(piece: str) -> bool:
    return len(piece) == 6 and piece.startswith("<0x") and piece.endswith(">")
