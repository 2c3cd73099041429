"""Checks of one bundle at the same time: each keeps its figures in the manifest."""

import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from strizh.export import export_model
from strizh.export.manifest import add_figures
from strizh.export.manifest_lock import locked
from strizh.runtime.manifest import read_manifest

MakeCheckpoint = Callable[..., Path]
TIMES = 20
PROGRAM = f"""
import sys
from pathlib import Path
from strizh.export.manifest import add_figures
folder, name = Path(sys.argv[1]), sys.argv[2]
sys.stdin.readline()
for number in range({TIMES}):
    add_figures(folder, f"{{name}} {{number}}", {{"portable-fp32": {{"cosine_min": 1.0}}}})
"""


@pytest.fixture
def bundle(make_checkpoint: MakeCheckpoint, tmp_path: Path) -> Path:
    export_model(make_checkpoint(), tmp_path / "bundle", variants=["portable-fp32"], verify=False)
    return tmp_path / "bundle"


def test_figures_of_two_programs_are_all_kept(bundle: Path) -> None:
    names = ("grid", "evaluation")
    files = set(bundle.iterdir())
    programs = [
        subprocess.Popen([sys.executable, "-P", "-c", PROGRAM, bundle, name], stdin=subprocess.PIPE, text=True)
        for name in names
    ]
    for program in programs:  # both have imported what they need, or will in a moment
        assert program.stdin is not None
        program.stdin.write("go\n")
        program.stdin.flush()
    assert [program.wait(120) for program in programs] == [0, 0]
    found = read_manifest(bundle).parity["portable-fp32"]
    assert set(found) == {f"{name} {number}" for name in names for number in range(TIMES)}
    assert set(bundle.iterdir()) == files, "no lock is left behind"


def test_who_comes_second_waits_and_reads_what_the_first_wrote(bundle: Path) -> None:
    def second() -> None:
        add_figures(bundle, "second", {"portable-fp32": {}})

    waiting = threading.Thread(target=second)
    with locked(bundle):
        waiting.start()
        waiting.join(0.2)
        assert waiting.is_alive()
        assert read_manifest(bundle).parity == {}
    waiting.join(60)
    assert read_manifest(bundle).parity == {"portable-fp32": {"second": {}}}


def test_a_lock_ends_with_what_went_wrong(bundle: Path) -> None:
    with pytest.raises(KeyError), locked(bundle):
        raise KeyError
    add_figures(bundle, "grid", {"portable-fp32": {}})
    assert "grid" in read_manifest(bundle).parity["portable-fp32"]
