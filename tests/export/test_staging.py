"""A bundle that is replaced is there at every moment at which it can be: whole, the old one or the new one."""

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from strizh.export.staging import staging
from strizh.runtime.errors import UsageError
from strizh.runtime.manifest import MANIFEST

HERE = platform.node()
knows_processes = pytest.mark.skipif(sys.platform == "win32", reason="Windows does not say whether a process lives")

UNTIL_KILLED = """
import sys, time
from pathlib import Path
from strizh.export.staging import staging
with staging(Path(sys.argv[1]), force=False) as folder:
    (folder / "model.onnx").touch()
    print(flush=True)
    time.sleep(600)
"""


def exporting(output: Path) -> "subprocess.Popen[str]":
    """An export that has begun to write and goes on until it is killed."""
    process = subprocess.Popen([sys.executable, "-P", "-c", UNTIL_KILLED, output], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stdout.readline() == "\n"
    return process


def ended() -> int:
    """The number of a process that no longer is."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


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


@knows_processes
def test_the_next_export_removes_what_a_killed_one_left_and_leaves_a_live_one_alone(tmp_path: Path) -> None:
    killed, live = exporting(tmp_path / "bundle"), exporting(tmp_path / "bundle")
    try:
        killed.kill()
        killed.wait()
        abandoned, held = (tmp_path / f".bundle.partial-{HERE}-{process.pid}" for process in (killed, live))
        assert abandoned.is_dir()
        with staging(tmp_path / "bundle", force=False) as folder:
            assert set(tmp_path.iterdir()) == {held, folder}
            assert (held / "model.onnx").is_file()
    finally:
        live.kill()
        live.wait()


@knows_processes
def test_only_what_exports_to_this_name_left_is_removed(tmp_path: Path) -> None:
    pid = ended()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "kept").touch()
    others = {
        tmp_path / name for name in (
            f".bundle2.partial-{HERE}-{pid}", f"bundle.partial-{HERE}-{pid}", f".bundle.partial-{HERE}-{pid}.txt",
            f".bundle.partial-{HERE}-0{pid}", f".bundle.partial-{HERE}-0", f".bundle.partial-{HERE}-", ".bundle.partial-",
            f".bundle.partial-{HERE}-99999999999", f".b.ndle.partial-{HERE}-{pid}",
            f".bundle.partial-other-{HERE}-{pid}", f".bundle.partial-{pid}",  # of another host or container
        )
    }  # fmt: skip
    for path in others:
        path.mkdir()
    link, file = tmp_path / f".bundle.replaced-{HERE}-{pid}", tmp_path / f".bundle.partial-{HERE}-{pid}"
    link.symlink_to(tmp_path / "elsewhere")
    file.touch()
    for name in ("bundle", "b.ndl[e]"):
        with staging(tmp_path / name, force=False):
            pass
    assert set(tmp_path.iterdir()) == {
        *others, link, file, tmp_path / "elsewhere", tmp_path / "bundle", tmp_path / "b.ndl[e]",
    }  # fmt: skip
    assert (tmp_path / "elsewhere" / "kept").is_file()


@knows_processes
def test_a_bundle_that_a_killed_replacement_set_aside_comes_back(tmp_path: Path) -> None:
    aside = tmp_path / f".bundle.replaced-{HERE}-{ended()}"
    aside.mkdir()
    (aside / MANIFEST).write_text("the old one")
    with pytest.raises(UsageError, match="is a bundle already"), staging(tmp_path / "bundle", force=False):
        raise AssertionError("it is there, so that nothing is written")
    assert (tmp_path / "bundle" / MANIFEST).read_text() == "the old one"
    assert [path.name for path in tmp_path.iterdir()] == ["bundle"]


@knows_processes
def test_what_a_finished_replacement_set_aside_goes(tmp_path: Path) -> None:
    aside, live = tmp_path / f".bundle.replaced-{HERE}-{ended()}", tmp_path / f".bundle.replaced-{HERE}-{os.getppid()}"
    for path in (aside, live, tmp_path / "bundle"):
        path.mkdir()
        (path / MANIFEST).write_text(path.name)
    with staging(tmp_path / "bundle", force=True) as folder:
        (folder / MANIFEST).write_text("new")
    assert set(tmp_path.iterdir()) == {tmp_path / "bundle", live}
    assert (tmp_path / "bundle" / MANIFEST).read_text() == "new"
