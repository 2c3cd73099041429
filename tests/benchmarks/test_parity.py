"""The parity suite: engines of ids and engines of texts get the same texts, and whoever has other vectors is left out."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks import machine, results, run, texts
from benchmarks.contenders import Contender
from benchmarks.engines import Batch, Configuration
from benchmarks.errors import UnfitFile
from benchmarks.models import Model
from benchmarks.suites import parity

CHECKPOINT = machine.ROOT / "tests/data/rope-e5-tiny-ru"


class Engine:
    """Vectors that nothing but a text's ids decide; it tokenizes strings by itself."""

    name = "torch fp32"

    def __init__(self, model: Model, threads: int, takes_ids: bool = True) -> None:
        self.model, self.takes_ids = model, takes_ids
        self.ids: list[NDArray[np.int32]] = []

    def load(self, batch: Batch) -> None:
        assert bool(batch.ids) == self.takes_ids
        self.ids = batch.ids or texts.tokenize(self.model, batch.strings)

    def vectors(self, batch_size: int | None = None) -> NDArray[np.float32]:
        return np.stack([np.random.default_rng(ids.tolist()).normal(size=8) for ids in self.ids]).astype(np.float32)

    def close(self) -> None:
        pass


def open_all(model: Model, configurations: Sequence[Configuration], *_: Any) -> Iterator[Contender]:
    for one in configurations:
        yield Contender(one, Engine(model, 1, "ids" in one.takes))  # type: ignore[arg-type]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Russian passages, and pairs with an English side."""
    swift = "Стриж летит быстрее всех птиц"
    passages = [{"text": f"{swift}. " * count} for count in (1, 2, 20)]
    pairs = [{"text": swift, "en": "The swift is the fastest of birds"}]
    for name, rows in (("passages_ru_mixed", passages), ("pairs", pairs)):
        lines = "\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
        (tmp_path / f"{name}.jsonl").write_text(lines, encoding="utf-8")
    return tmp_path


def measured(monkeypatch: pytest.MonkeyPatch, path: Path, *options: str) -> dict[str, Any]:
    monkeypatch.setattr(parity, "open_all", open_all)
    monkeypatch.setattr("benchmarks.parity.Reference", Engine)
    engines = "strizh portable-fp32,fastembed*,model2vec"
    assert run.main(["parity", "--models", str(CHECKPOINT), "--engines", engines, "--json", str(path), *options]) == 0
    return results.read(path)


def test_engines_of_texts_get_the_strings_of_the_ids(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    result = measured(monkeypatch, folder / "parity.json", "--texts", str(folder))
    assert {(row["contender"], row["tokens"], row["texts"]) for row in result["rows"]} == {
        (name, bucket, count)
        for name in ("strizh portable-fp32", "fastembed fp32")
        for bucket, count in (("1..16", 1), ("17..128", 1), ("129..512", 1))
    }
    for row in result["rows"]:
        assert row["cosine_min"] == pytest.approx(1)
        assert row["company_same_bits"] == row["texts"]
    (left_out,) = result["absent"]
    assert left_out["contender"] == "model2vec"


def test_a_column_that_the_passages_lack_is_read_from_every_file(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    result = measured(monkeypatch, folder / "parity.json", "--texts", str(folder), "--column", "en")
    assert {row["texts"] for row in result["rows"]} == {1}
    with pytest.raises(UnfitFile, match=r"no file of .* has the column de; give"):
        texts.passages(folder, "de")


def test_numbers_that_are_not_finite_are_no_figure(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    result = measured(monkeypatch, folder / "parity.json", "--texts", str(folder))
    for row in result["rows"]:
        for name in ("cosine_mean", "max_abs"):
            del row[name]
        row |= {"cosine_min": None, "company_cosine_min": None, "misses": ["vectors that are not finite"]}
    (table,) = parity.show(result)
    assert table.count("FAIL") == len(result["rows"])
