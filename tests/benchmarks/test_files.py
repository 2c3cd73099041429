"""Files for engines are made once, and again when what they are made of has changed."""

from pathlib import Path

import pytest

from benchmarks import files
from benchmarks.files import dynamic_int8, portable


class Makers:
    """Writes what it was asked for."""

    def __init__(self) -> None:
        self.made: list[str] = []

    def __call__(self, maker: str, environment: str, source: str | None, path: Path) -> None:
        self.made.append(path.name)
        path.write_text(f"{maker} {len(self.made)}")


@pytest.fixture
def makers(monkeypatch: pytest.MonkeyPatch) -> Makers:
    monkeypatch.setattr(portable, "key", lambda source: "first")
    return Makers()


def test_a_derived_file_brings_its_source(tmp_path: Path, makers: Makers) -> None:
    path = files.ensure("portable.dynamic_int8.onnx", tmp_path, makers)
    assert makers.made == ["portable.onnx", "portable.dynamic_int8.onnx"]
    assert path == tmp_path / "portable.dynamic_int8.onnx"


def test_nothing_is_made_twice(tmp_path: Path, makers: Makers) -> None:
    for _ in range(2):
        files.ensure("portable.dynamic_int8.onnx", tmp_path, makers)
    assert len(makers.made) == 2


def test_a_new_source_makes_what_comes_of_it_anew(
    tmp_path: Path, makers: Makers, monkeypatch: pytest.MonkeyPatch
) -> None:
    files.ensure("portable.dynamic_int8.onnx", tmp_path, makers)
    monkeypatch.setattr(portable, "key", lambda source: "second")
    files.ensure("portable.dynamic_int8.onnx", tmp_path, makers)
    assert makers.made[2:] == ["portable.onnx", "portable.dynamic_int8.onnx"]


def test_a_source_made_anew_with_the_same_bytes_changes_nothing(
    tmp_path: Path, makers: Makers, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "portable.onnx"
    source.write_text("same")
    key = dynamic_int8.key(str(source))
    source.write_text("same")
    assert dynamic_int8.key(str(source)) == key
    source.write_text("other")
    assert dynamic_int8.key(str(source)) != key
