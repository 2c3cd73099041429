"""What is made of a model, and what others are compared with, follows its content and not its path."""

import dataclasses
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import environments, geometries, models, parity
from benchmarks.engines import Batch

CHECKPOINT = Path(__file__).resolve().parents[1] / "data" / "rope-e5-tiny-ru"


@pytest.fixture
def checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(environments, "HOME", tmp_path / "build")
    return Path(shutil.copytree(CHECKPOINT, tmp_path / "checkpoint"))


class Standing:
    """In place of the process: gives how often one was started as every vector."""

    started = 0

    def __init__(self, environment: str, threads: int) -> None:
        type(self).started += 1
        self._texts = 0

    def open(self, *arguments: Any) -> None: ...

    def close(self) -> None: ...

    def load(self, batch: Batch) -> None:
        self._texts = len(batch.ids)

    def vectors(self, batch_size: int) -> parity.Vectors:
        return np.full((self._texts, 2), self.started, np.float32)


def expected(checkpoint: Path) -> float:
    reference = parity.Reference(models.find(str(checkpoint)), threads=1)
    reference.load(Batch([np.array([0, 7, 2], np.int32)]))
    return float(reference.vectors()[0, 0])


@pytest.mark.parametrize("file", ["model.safetensors", "tokenizer.json", "config.json"])
def test_vectors_of_another_checkpoint_at_the_same_path_are_not_taken_for_this_ones(
    checkpoint: Path, file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parity, "Worker", Standing)
    first = expected(checkpoint)
    assert expected(checkpoint) == first, "computed once"
    path = checkpoint / file
    before = path.read_bytes()
    path.write_bytes(before + b"\n" if file.endswith(".json") else before[:-1] + bytes([before[-1] ^ 1]))
    assert expected(checkpoint) != first
    path.write_bytes(before)
    assert expected(checkpoint) == first, "the first one's are still there"


def test_a_copy_elsewhere_is_the_same_model(checkpoint: Path, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    copy = shutil.copytree(checkpoint, tmp_path / "other" / "checkpoint")
    assert models.find(str(copy)).folder == models.find(str(checkpoint)).folder


def test_a_geometry_of_another_shape_takes_nothing_from_the_one_before(
    checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = models.find("tiny").folder / "bundle.cpu-bf16"
    made.touch()
    assert models.find("tiny").folder == made.parent
    assert made.exists()
    wider = dataclasses.replace(geometries.GEOMETRIES["tiny"], hidden_size=96)
    monkeypatch.setitem(geometries.GEOMETRIES, "tiny", wider)
    assert models.find("tiny").config["hidden_size"] == 96
    assert not made.exists()


def test_large_is_bert_large_and_a_float32_copy_of_it_fits_beside_its_bundles() -> None:
    """24 layers x 1024: 0.34 thousand million parameters, so that fp32, bf16 and int8 copies take less than 24 GB."""
    large = geometries.GEOMETRIES["large"]
    assert (large.layers, large.hidden_size, large.heads, large.intermediate_size) == (24, 1024, 16, 4096)
    layer = 4 * large.hidden_size**2 + 2 * large.hidden_size * large.intermediate_size
    parameters = large.layers * layer + geometries.VOCAB_SIZE * large.hidden_size
    assert 4 * parameters < 2**31, "one protobuf holds the float32 graph"


def test_a_text_is_as_long_as_the_files_ask_for(checkpoint: Path) -> None:
    config = checkpoint / "sentence_bert_config.json"
    config.unlink(missing_ok=True)
    positions = models.find(str(checkpoint)).longest
    for asked, longest in ((100, 100), (10**6, positions)):
        config.write_text(f'{{"max_seq_length": {asked}}}')
        assert models.find(str(checkpoint)).longest == longest
