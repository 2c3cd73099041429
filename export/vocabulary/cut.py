"""The cut itself: which tokens stay, and what becomes of a checkpoint's tokenizer, config, spec and word embeddings."""

import dataclasses
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from strizh.export.checkpoint import Checkpoint
from strizh.export.options import Plan
from strizh.export.settings import Settings
from strizh.export.weights import Array
from strizh.runtime.errors import UsageError
from strizh.runtime.manifest import TOKENIZER, Vocabulary

_WORDS = "embeddings.word"


@dataclasses.dataclass(frozen=True)
class Cut:
    """`kept`: int64 [tokens], the checkpoint's id of every id that is left, ascending; `report` is for the manifest."""

    kept: NDArray[np.int64]
    tokenizer: str
    report: Vocabulary

    @cached_property
    def new(self) -> dict[int, int]:
        """The checkpoint's id -> the bundle's."""
        return {old: new for new, old in enumerate(self.kept.tolist())}

    def checkpoint(self, whole: Checkpoint) -> Checkpoint:
        """The checkpoint with this tokenizer, and every id in its files as the new tokenizer has it."""
        facts = whole.tokenizer
        pad = None if facts.pad_token_id is None else self.new[facts.pad_token_id]
        tokenizer = dataclasses.replace(
            facts, json=self.tokenizer, config=self._settings(facts.config), vocab_size=len(self.kept), pad_token_id=pad
        )
        fields = self._renumbered(whole.config.fields) | {"vocab_size": len(self.kept)}
        return dataclasses.replace(whole, tokenizer=tokenizer, config=dataclasses.replace(whole.config, fields=fields))

    def plan(self, whole: Plan) -> Plan:
        """The plan with this vocabulary in its spec."""
        silent = whole.spec.sparse
        spec = dataclasses.replace(
            whole.spec,
            vocab_size=len(self.kept),
            pad_token_id=self.new[whole.spec.pad_token_id],
            sparse=None if silent is None else tuple(self.new[token] for token in silent),
        )
        return dataclasses.replace(whole, spec=spec)

    def weights(self, whole: Mapping[str, Array]) -> "CutWeights":
        """The weights with the rows of the tokens that are left."""
        return CutWeights(whole, self.kept)

    def _settings(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """tokenizer_config.json."""
        tokens = Settings("tokenizer_config.json", dict(config)).section("added_tokens_decoder").fields
        known = {str(old): str(new) for old, new in self.new.items()}
        renumbered = {known[old]: token for old, token in tokens.items() if old in known}
        return self._renumbered(config) | ({"added_tokens_decoder": renumbered} if tokens else {})

    def _renumbered(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """The fields of a config that hold ids of tokens, an integer each or a list of them; None for one that is gone."""

        def renumber(value: Any) -> Any:
            if isinstance(value, list):
                return [renumber(token) for token in value]
            return self.new.get(value) if isinstance(value, int) else None

        return {key: renumber(value) if key.endswith("_token_id") else value for key, value in config.items()}


def kept_by(bundle: Path, checkpoint: Checkpoint) -> NDArray[np.int64]:
    """`Cut.kept` of a bundle's folder, found again by the text of each token; `UsageError` for a foreign checkpoint."""
    ours, theirs = Tokenizer.from_file(str(bundle / TOKENIZER)), Tokenizer.from_str(checkpoint.tokenizer.json)
    ids = ours.get_vocab()
    tokens = sorted(ids, key=ids.__getitem__)
    found = [theirs.token_to_id(token) for token in tokens]
    if None in found:
        raise UsageError(
            f"{checkpoint.folder} has no token {tokens[found.index(None)]!r}, which {bundle} has: "
            "the bundle's vocabulary was cut from another one. Name the checkpoint that it was exported from."
        )
    return np.array(found, np.int64)


class CutWeights(Mapping[str, Array]):
    """Weights by slot, the word embeddings without the rows that were cut."""

    def __init__(self, whole: Mapping[str, Array], kept: NDArray[np.int64]) -> None:
        self._whole, self._kept = whole, kept

    def __getitem__(self, slot: str) -> Array:
        tensor = self._whole[slot]
        return tensor[self._kept] if slot == _WORDS else tensor

    def __iter__(self) -> Iterator[str]:
        return iter(self._whole)

    def __len__(self) -> int:
        return len(self._whole)
