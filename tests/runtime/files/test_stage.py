"""The stage under `strizh embed`: whatever step is the last one before the process dies, the next run ends the same."""

import gc
import itertools
import json
import os
from pathlib import Path

import numpy as np
import pytest

from strizh.runtime.errors import UsageError
from strizh.runtime.files.readers import Row
from strizh.runtime.files.stage import Stage
from strizh.runtime.files.writers import writer_for

TEXTS = ["один", "two", "", "четыре", "five"]
VECTORS = np.random.default_rng(5).standard_normal((len(TEXTS), 6)).astype(np.float32)
WINDOW = 2


class Crash(BaseException):
    """The process dies here."""


MADE_WITH = {"--variant": "a"}


def run(output: Path, texts=TEXTS, force=False) -> Stage:
    stage = Stage(output, writer_for(output.name, 6), MADE_WITH, force)
    if not stage.progress.complete:
        rows = stage.skip(Row(text, index) for index, text in enumerate(texts))
        while window := list(itertools.islice(rows, WINDOW)):
            indices = [row.position for row in window]
            stage.append([row.text for row in window], VECTORS[indices], tokens=len(window), truncated=1)
    stage.publish()
    return stage


@pytest.mark.parametrize("ending", [".npy", ".jsonl", ".parquet"])
def test_dying_before_any_step_on_the_disk_leaves_what_the_next_run_finishes(tmp_path, monkeypatch, ending):
    whole = tmp_path / f"whole{ending}"
    run(whole)
    for fatal in itertools.count(1):
        output = tmp_path / f"{fatal}{ending}"
        with monkeypatch.context() as patch:
            crash_at(patch, fatal)
            try:
                run(output)
                died = False
            except Crash:
                died = True
            gc.collect()  # the dead process's files are closed
        if not died:
            break
        if output.exists() and not output.with_name(f"{output.name}.journal").exists():
            continue  # it died after all was done
        stage = run(output)
        assert output.read_bytes() == whole.read_bytes(), f"died before step {fatal}"
        assert (stage.progress.texts, stage.progress.tokens, stage.progress.truncated) == (5, 5, 3)
    assert fatal > 10  # there were steps to die before
    rest = {path.name for path in tmp_path.iterdir() if path.suffix not in (".npy", ".jsonl", ".parquet")}
    assert not {name for name in rest if name.endswith(".part")}


def crash_at(patch: pytest.MonkeyPatch, fatal: int) -> None:
    """The process dies before its `fatal`-th step that changes the disk."""
    steps = itertools.count(1)

    def deadly(step):
        def wrapped(*arguments, **options):
            if next(steps) == fatal:
                raise Crash
            return step(*arguments, **options)

        return wrapped

    patch.setattr(os, "fsync", deadly(os.fsync))
    patch.setattr(Path, "replace", deadly(Path.replace))
    patch.setattr(Path, "unlink", deadly(Path.unlink))


def test_rows_that_were_not_vouched_for_are_cut_off(tmp_path):
    output = tmp_path / "out.npy"
    stage = Stage(output, writer_for("out.npy", 6), MADE_WITH, force=False)
    stage.append(TEXTS[:2], VECTORS[:2], tokens=2, truncated=0)
    del stage
    with (tmp_path / "out.npy.part").open("ab") as part:
        part.write(b"half a row")
    run(output)
    np.testing.assert_array_equal(np.load(output), VECTORS)


def progress(folder: Path, **changes: object) -> None:
    """Change what a journal says of the progress."""
    journal = folder / "out.npy.journal"
    known = json.loads(journal.read_text())
    journal.write_text(json.dumps(known | {"progress": known["progress"] | changes}))


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda folder: (folder / "out.npy.part").unlink(), "lost what out.npy.journal speaks of"),
        (lambda folder: (folder / "out.npy.part").write_bytes(b""), "lost what out.npy.journal speaks of"),
        (lambda folder: (folder / "out.npy.journal").write_text("{}"), "is not a journal of strizh"),
        (lambda folder: (folder / "out.npy.journal").write_text("["), "is not a journal of strizh"),
        (lambda folder: (folder / "out.npy.journal").write_text("[" * 100_000), "is not a journal of strizh"),
        (lambda folder: progress(folder, texts="2"), "is not a journal of strizh"),
        (lambda folder: progress(folder, texts=-2), "is not a journal of strizh"),
        (lambda folder: progress(folder, size=None), "is not a journal of strizh"),
        (lambda folder: progress(folder, later="x"), "is not a journal of strizh"),
    ],
)
def test_a_damaged_stage_is_refused_until_force(tmp_path, damage, said):
    output = tmp_path / "out.npy"
    stage = Stage(output, writer_for("out.npy", 6), MADE_WITH, force=False)
    stage.append(TEXTS[:2], VECTORS[:2], tokens=2, truncated=0)
    del stage
    damage(tmp_path)
    with pytest.raises(UsageError, match=said):
        run(output)
    run(output, force=True)
    np.testing.assert_array_equal(np.load(output), VECTORS)


def test_an_input_that_became_shorter_is_refused(tmp_path):
    stage = Stage(tmp_path / "out.npy", writer_for("out.npy", 6), MADE_WITH, force=False)
    stage.append(TEXTS[:4], VECTORS[:4], tokens=2, truncated=0)
    del stage
    with pytest.raises(UsageError, match="are not those"):
        run(tmp_path / "out.npy", texts=TEXTS[:3])


def test_the_same_letters_cut_elsewhere_are_another_input(tmp_path):
    stage = Stage(tmp_path / "out.npy", writer_for("out.npy", 6), MADE_WITH, force=False)
    stage.append(["ab", "c"], VECTORS[:2], tokens=2, truncated=0)
    del stage
    with pytest.raises(UsageError, match="are not those"):
        run(tmp_path / "out.npy", texts=["a", "bc"])
