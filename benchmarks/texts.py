"""Real texts from a folder of jsonl that is given on the command line: nothing of it is kept in the project."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.errors import UnfitFile
from benchmarks.models import Model

Rows = list[dict[str, Any]]

_PASSAGES = "passages_ru_mixed"


def read(folder: Path, name: str) -> Rows:
    """Rows of `name`.jsonl. Raises `UnfitFile` where the folder does not hold it."""
    path = folder / f"{name}.jsonl"
    if not path.is_file():
        raise UnfitFile(
            f"{folder} holds no {path.name}; --texts wants a folder with it, an object with `text` on each line"
        )
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]


def passages(folder: Path, column: str = "text") -> list[str]:
    """Texts of many lengths: those of `passages_ru_mixed`, or of every file where it has no such column.

    Raises `UnfitFile` where there are none.
    """
    rows = read(folder, _PASSAGES)
    if column not in rows[0]:
        rows = [row for path in sorted(folder.glob("*.jsonl")) for row in read(folder, path.stem)]
    found = [str(row[column]) for row in rows if row.get(column)]
    if not found:
        raise UnfitFile(f"no file of {folder} has the column {column}; give --column text, or en for English")
    return found


def prompts(model: Model) -> tuple[str, str]:
    """What the model wants before a query and before a passage: its own file's, or E5's where its name says E5."""
    path = model.checkpoint / "config_sentence_transformers.json"
    stated = json.loads(path.read_text(encoding="utf-8")).get("prompts", {}) if path.is_file() else {}
    usual = ("query: ", "passage: ") if "e5" in model.name.lower() else ("", "")
    return str(stated.get("query", usual[0])), str(stated.get("passage", stated.get("document", usual[1])))


def tokenize(model: Model, strings: list[str], limit: int | None = None) -> list[NDArray[np.int32]]:
    """Token ids as the checkpoint's tokenizer gives them, special tokens included, cut to the model's length."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(model.checkpoint / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(min(limit or model.longest, model.longest))
    return [np.array(encoding.ids, np.int32) for encoding in tokenizer.encode_batch_fast(strings)]
