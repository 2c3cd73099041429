"""Calibration texts, and what is kept of the values seen on them."""

from pathlib import Path

import numpy as np
import pytest

from strizh.export.parity import parity_texts
from strizh.export.quantize.calibration import Observer, calibration_texts
from strizh.runtime.errors import UsageError


def test_our_texts_are_many_in_both_languages_and_none_is_a_parity_text() -> None:
    texts = calibration_texts()
    assert len(texts) == len(set(texts)) > 100
    assert not set(texts) & set(parity_texts())
    russian = sum(any("а" <= letter <= "я" for letter in text) for text in texts)
    assert 0.4 < russian / len(texts) < 0.7
    lengths = [len(text) for text in texts]
    assert min(lengths) < 10
    assert max(lengths) > 1000


def test_texts_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "texts.jsonl"
    path.write_text('"стриж"\n{"text": "swift", "id": 1}\n', encoding="utf-8")
    assert calibration_texts(path) == ["стриж", "swift"]


@pytest.mark.parametrize("line", ["not json", "1", '{"id": 1, "body": "x"}', ""])
def test_a_line_without_a_text_is_named(tmp_path: Path, line: str) -> None:
    path = tmp_path / "texts.jsonl"
    path.write_text(f'"a"\n{line}\n"b"\n', encoding="utf-8")
    with pytest.raises(UsageError, match=r"line 2: (not JSON|the text is|no column)"):
        calibration_texts(path)


def test_a_file_that_cannot_be_read_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "texts.txt"
    path.touch()

    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(UsageError, match=r"texts\.txt cannot be read: Permission denied\. Give a file that you may read"):
        calibration_texts(path)


def test_a_file_without_texts_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no such file"):
        calibration_texts(tmp_path / "absent.jsonl")
    (tmp_path / "texts.txt").write_text("\n\n")
    with pytest.raises(UsageError, match="holds no text to calibrate with"):
        calibration_texts(tmp_path / "texts.txt")


def test_extremes_are_those_of_every_token_whatever_is_sampled() -> None:
    generator = np.random.default_rng(0)
    batches = [generator.normal(size=(1, length, 6)) for length in (1, 3, 200)]
    observer = Observer()
    for batch in batches:
        observer.see({"x": batch})
    found, rows = observer.found["x"], np.concatenate([batch[0] for batch in batches])
    np.testing.assert_array_equal(found.maximum, rows.max(0))
    np.testing.assert_array_equal(found.minimum, rows.min(0))
    np.testing.assert_array_equal(found.largest, np.abs(rows).max(0))
    assert len(found.rows) == 1 + 3 + 32
    np.testing.assert_array_equal(found.rows[:1], batches[0][0])
    np.testing.assert_array_equal(found.some, found.rows[[0, 1, *range(4, 36, 4)]])
