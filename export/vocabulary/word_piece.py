"""WordPiece (BERT): the longest piece that begins a word, then the longest that goes on, until the word is through.

The longest of all is the longest of fewer too. A word of which any part finds no piece is unknown as a whole, so what
stays must be able to spell whatever goes.
"""

from collections.abc import Mapping
from typing import Any

Model = dict[str, Any]


def pieces(model: Model) -> dict[str, int]:
    """Every piece and its id."""
    return dict(model["vocab"])


def written(model: Model, piece: str) -> str:
    """What of a piece is text."""
    return piece.removeprefix(_prefix(model))


def always(model: Model) -> set[int]:
    """Ids that have to stay: single characters, what they cannot spell, and the unknown token."""
    prefix, vocab = _prefix(model), model["vocab"]

    def goes(piece: str) -> bool:
        inner = piece.removeprefix(prefix)
        letters = [piece[: len(piece) - len(inner) + 1], *(prefix + letter for letter in inner[1:])]
        return len(letters) > 1 and all(letter in vocab for letter in letters)

    return {vocab[model["unk_token"]], *(index for piece, index in vocab.items() if not goes(piece))}


def closed(model: Model, kept: set[int]) -> set[int]:
    """The kept ids with those that they are made of: a piece of this model is found as a whole."""
    return kept


def cut(model: Model, new: Mapping[int, int]) -> Model:
    """The model with the pieces `new`, old id -> new id in the same order."""
    return model | {"vocab": {piece: new[index] for piece, index in model["vocab"].items() if index in new}}


def _prefix(model: Model) -> str:
    return str(model.get("continuing_subword_prefix") or "")
