"""A tuning loads what it says, on the bundle that it was measured on and on no other."""

import dataclasses
import json
import warnings
from pathlib import Path

import pytest

import strizh
from strizh.runtime import tuning
from strizh.runtime.errors import BundleError, UsageError


@pytest.fixture
def file(exported: Path, tmp_path: Path) -> Path:
    path = tmp_path / "tuning.json"
    tuning.tuning_for(exported, "ort-fp32", 1, 2048).write(path)
    return path


def test_load_takes_what_the_tuning_says(exported: Path, file: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        encoder = strizh.load(exported, tuning=file)
    assert (encoder.variant, encoder.threads) == ("ort-fp32", 1)
    assert encoder._max_batch_tokens == 2048


def test_arguments_win_over_the_tuning(exported: Path, file: Path) -> None:
    encoder = strizh.load(exported, "portable-fp32", threads=2, max_batch_tokens=512, tuning=file)
    assert (encoder.variant, encoder.threads, encoder._max_batch_tokens) == ("portable-fp32", 2, 512)


def test_another_bundle_is_refused(exported: Path, file: Path) -> None:
    other = dataclasses.replace(tuning.read_tuning(file, exported), manifest_sha256="0" * 64)
    other.write(file)
    with pytest.raises(UsageError, match="another bundle"):
        strizh.load(exported, tuning=file)


def test_another_machine_is_warned_of_and_still_served(exported: Path, file: Path) -> None:
    dataclasses.replace(tuning.read_tuning(file, exported), processor="Elbrus", cores=7).write(file)
    with pytest.warns(RuntimeWarning, match="Elbrus with 7 cores"):
        assert strizh.load(exported, tuning=file).variant == "ort-fp32"


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"variant": 3}', "\0", None])
def test_what_is_no_tuning_is_one_clear_error(exported: Path, file: Path, content: str | None) -> None:
    if content is None:
        file.unlink()
    else:
        file.write_text(content)
    with pytest.raises(UsageError, match="is no tuning that this strizh reads"):
        strizh.load(exported, tuning=file)


@pytest.mark.parametrize("field", ["threads", "max_batch_tokens", "format"])
def test_numbers_that_cannot_be_are_refused(exported: Path, file: Path, field: str) -> None:
    file.write_text(json.dumps(json.loads(file.read_text()) | {field: 0}))
    with pytest.raises(UsageError, match="cannot be"):
        strizh.load(exported, tuning=file)


def test_a_tuning_of_a_bundle_that_is_gone_speaks_of_the_bundle(file: Path, tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="is not a folder"):
        strizh.load(tmp_path / "gone", tuning=file)
