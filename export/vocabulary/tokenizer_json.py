"""`tokenizer.json` as data: the kinds of model that can be cut, and every place of the file that holds a token's id."""

import json
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any

from tokenizers import decoders

from strizh.export.vocabulary import bpe, unigram, word_piece
from strizh.runtime.errors import UnsupportedModel

_KINDS: dict[str, ModuleType] = {"Unigram": unigram, "WordPiece": word_piece, "BPE": bpe}
_WITHOUT_IDS = ("ByteLevel", None)


class TokenizerFile:
    """A parsed `tokenizer.json`. Raises `UnsupportedModel` for a kind of model that has no file here."""

    def __init__(self, text: str) -> None:
        self._data: dict[str, Any] = json.loads(text)
        self._model = self._data["model"]
        kind = self._model.get("type")
        if kind not in _KINDS:
            raise UnsupportedModel(
                f"the tokenizer is of kind {kind!r}; a vocabulary of {', '.join(_KINDS)} can be cut. "
                "Export without --keep-languages."
            )
        self._kind = _KINDS[kind]

    def always(self) -> set[int]:
        """Ids that stay whatever is asked for: added tokens, which split a text before the model sees it, those that are
        put around a text, and the model's."""
        added = {token["id"] for token in self._data.get("added_tokens") or ()}
        padding = {self._data["padding"]["pad_id"]} if self._data.get("padding") else set()
        model: set[int] = self._kind.always(self._model)
        return added | padding | _around(self._data.get("post_processor")) | model

    def readable(self, is_read: Callable[[str], bool]) -> set[int]:
        """Ids of the pieces whose text `is_read` is true of."""
        text = _from_bytes if "ByteLevel" in json.dumps(self._data.get("pre_tokenizer")) else str
        found: dict[str, int] = self._kind.pieces(self._model)
        return {index for piece, index in found.items() if is_read(text(self._kind.written(self._model, piece)))}

    def closed(self, kept: set[int]) -> set[int]:
        """The kept ids with those that they are made of."""
        closed: set[int] = self._kind.closed(self._model, kept)
        return closed

    def cut(self, new: Mapping[int, int]) -> str:
        """The text of the file with only the tokens of `new`, old id -> new id in the same order."""
        data = self._data | {"model": self._kind.cut(self._model, new)}
        data["added_tokens"] = [token | {"id": new[token["id"]]} for token in self._data.get("added_tokens") or ()]
        if padding := self._data.get("padding"):
            data["padding"] = padding | {"pad_id": new[padding["pad_id"]]}
        data["post_processor"] = _renumbered(self._data.get("post_processor"), new)
        return json.dumps(data, ensure_ascii=False)


def _around(step: Any) -> set[int]:
    """Ids that a post-processor puts around a text: not every file lists them as added tokens too."""
    match step and step["type"]:
        case "TemplateProcessing":
            return {index for token in step["special_tokens"].values() for index in token["ids"]}
        case "BertProcessing" | "RobertaProcessing":
            return {step["sep"][1], step["cls"][1]}
        case "Sequence":
            return set().union(*map(_around, step["processors"]))
    return set()


def _renumbered(step: Any, new: Mapping[int, int]) -> Any:
    """A post-processor with its special tokens' new ids."""
    match step and step["type"]:
        case "TemplateProcessing":
            tokens = {
                name: token | {"ids": [new[index] for index in token["ids"]]}
                for name, token in step["special_tokens"].items()
            }
            return step | {"special_tokens": tokens}
        case "BertProcessing" | "RobertaProcessing":
            return step | {side: [step[side][0], new[step[side][1]]] for side in ("sep", "cls")}
        case "Sequence":
            return step | {"processors": [_renumbered(inner, new) for inner in step["processors"]]}
        case kind if kind in _WITHOUT_IDS:
            return step
        case kind:
            raise UnsupportedModel(
                f"the tokenizer's post-processor is of kind {kind!r}, whose ids are not known. "
                "Export without --keep-languages."
            )


def _from_bytes(piece: str) -> str:
    """The text of a byte-level piece; what is half a character becomes U+FFFD, which is no letter."""
    text: str = decoders.ByteLevel().decode([piece])
    return text
