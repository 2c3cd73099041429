"""BPE (GPT-2, RoBERTa, Gemma): characters or bytes, neighbours joined by the first rule of a list, again and again.

With every rule that makes a kept token, and so on for both of its parts, the rules that were applied to a text of kept
tokens are all there, in their order, and none is new: the text is joined as before. Tokens that no rule makes are the
alphabet, which stays.
"""

from collections.abc import Iterator, Mapping
from typing import Any

Model = dict[str, Any]


def pieces(model: Model) -> dict[str, int]:
    """Every token and its id."""
    return dict(model["vocab"])


def written(model: Model, piece: str) -> str:
    """What of a token is text."""
    return piece.removeprefix(model.get("continuing_subword_prefix") or "").removesuffix(
        model.get("end_of_word_suffix") or ""
    )


def always(model: Model) -> set[int]:
    """Ids that have to stay: the alphabet, bytes and special tokens, which no rule makes."""
    made = {token for _, _, token in _rules(model)}
    return {index for token, index in model["vocab"].items() if token not in made}


def closed(model: Model, kept: set[int]) -> set[int]:
    """The kept ids with those that they are made of, by any rule."""
    vocab = model["vocab"]
    parts: dict[int, set[int]] = {}
    for left, right, token in _rules(model):
        parts.setdefault(vocab[token], set()).update((vocab[left], vocab[right]))
    found, ahead = set(kept), list(kept)
    while ahead:
        more = parts.get(ahead.pop(), set()) - found
        found |= more
        ahead += more
    return found


def cut(model: Model, new: Mapping[int, int]) -> Model:
    """The model with the tokens `new`, old id -> new id in the same order, and the rules that make them."""
    vocab = model["vocab"]
    rules = zip(model["merges"], _rules(model), strict=True)
    return model | {
        "vocab": {token: new[index] for token, index in vocab.items() if index in new},
        "merges": [stored for stored, (_, _, token) in rules if vocab[token] in new],
    }


def _rules(model: Model) -> Iterator[tuple[str, str, str]]:
    """Both parts of every rule, and what it makes of them."""
    inside = len(model.get("continuing_subword_prefix") or "")
    for rule in model["merges"]:
        left, right = rule.split(" ") if isinstance(rule, str) else rule
        yield left, right, left + right[inside:]
