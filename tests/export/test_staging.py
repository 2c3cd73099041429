"""A bundle that is replaced is there at every moment at which it can be: whole, the old one or the new one."""

from pathlib import Path

import pytest

from strizh.export.staging import staging
from strizh.runtime.bundle import MANIFEST


@pytest.mark.parametrize("error", [OSError(5, "Input/output error"), KeyboardInterrupt()], ids=repr)
@pytest.mark.parametrize("failing", [1, 2])
def test_a_replacement_that_fails_leaves_the_old_bundle_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: int, error: BaseException
) -> None:
    output, rename, calls = tmp_path / "bundle", Path.rename, 0
    output.mkdir()
    (output / MANIFEST).write_text("the old one")

    def renaming(self: Path, target: Path) -> Path:
        nonlocal calls
        calls += 1
        if calls == failing:
            raise error
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", renaming)
    with pytest.raises(type(error)), staging(output, force=True) as folder:
        (folder / MANIFEST).write_text("the new one")
    assert [path.name for path in tmp_path.iterdir()] == ["bundle"]
    assert (output / MANIFEST).read_text() == "the old one"


def test_an_interrupt_between_the_two_moves_brings_the_old_bundle_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output, rename, calls = tmp_path / "bundle", Path.rename, 0
    output.mkdir()
    (output / MANIFEST).write_text("the old one")

    def renaming(self: Path, target: Path) -> Path:
        nonlocal calls
        calls += 1
        moved = rename(self, target)
        if calls == 1:
            raise KeyboardInterrupt
        return moved

    monkeypatch.setattr(Path, "rename", renaming)
    with pytest.raises(KeyboardInterrupt), staging(output, force=True) as folder:
        (folder / MANIFEST).write_text("the new one")
    assert [path.name for path in tmp_path.iterdir()] == ["bundle"]
    assert (output / MANIFEST).read_text() == "the old one"
