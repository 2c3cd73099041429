"""A bundle that is replaced is there at every moment at which it can be: whole, the old one or the new one."""

from pathlib import Path

import pytest

from strizh.export.staging import staging
from strizh.runtime.manifest import MANIFEST


@pytest.mark.parametrize(
    ("failing", "moved", "error"),
    [
        (1, False, OSError(5, "Input/output error")),
        (1, False, KeyboardInterrupt()),
        (1, True, KeyboardInterrupt()),  # between the two moves
        (2, False, OSError(5, "Input/output error")),
        (2, False, KeyboardInterrupt()),
    ],
)
def test_a_replacement_that_fails_leaves_the_old_bundle_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: int, moved: bool, error: BaseException
) -> None:
    output, rename, calls = tmp_path / "bundle", Path.rename, 0
    output.mkdir()
    (output / MANIFEST).write_text("the old one")

    def renaming(self: Path, target: Path) -> Path:
        nonlocal calls
        calls += 1
        if calls != failing:
            return rename(self, target)
        if moved:
            rename(self, target)
        raise error

    monkeypatch.setattr(Path, "rename", renaming)
    with pytest.raises(type(error)), staging(output, force=True) as folder:
        (folder / MANIFEST).write_text("the new one")
    assert [path.name for path in tmp_path.iterdir()] == ["bundle"]
    assert (output / MANIFEST).read_text() == "the old one"
