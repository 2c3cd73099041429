"""`strizh embed` as a user meets it: every format, constant memory, and a process that may be killed at any moment."""

import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from strizh.runtime.encoder import load

TEXTS = [f"строка {number}: swift flight" for number in range(100)] + [
    "",
    "  spaces  ",
    'кавычки ", запятые, и\tтабуляция',
]


def vector(text: str) -> np.ndarray:
    """What the fake encoder gives."""
    return np.frombuffer(hashlib.blake2b(text.encode(), digest_size=16).digest(), np.uint8) / np.float32(7)


def finished(process: "subprocess.Popen[str]", stdin: str | None = None) -> tuple[int, str, str]:
    out, err = process.communicate(stdin, timeout=120)
    return process.returncode, out, err


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    path = tmp_path / "texts.txt"
    path.write_text("\n".join(TEXTS) + "\n", encoding="utf-8")
    return path


def read(path: Path) -> np.ndarray:
    if path.suffix == ".npy":
        return np.load(path, allow_pickle=False)
    if path.suffix == ".jsonl":
        rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        assert [row["text"] for row in rows] == TEXTS
        return np.array([row["embedding"] for row in rows], np.float32)
    parquet = pytest.importorskip("pyarrow.parquet")
    table = parquet.read_table(path)
    assert table.column("text").to_pylist() == TEXTS
    return np.array(table.column("embedding").to_pylist(), np.float32)


@pytest.mark.parametrize("ending", [".npy", ".jsonl", ".parquet"])
def test_every_output_holds_exactly_the_vectors_in_the_order_of_the_texts(fake_strizh, texts, tmp_path, ending):
    output = tmp_path / f"out{ending}"
    status, _, err = finished(fake_strizh("embed", "bundle", texts, "-o", output))
    assert status == 0, err
    np.testing.assert_array_equal(read(output), [vector(text) for text in TEXTS])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bundle", output.name, "texts.txt"]


def test_a_real_bundle_gives_what_encode_gives(strizh, make_bundle, tmp_path):
    bundle = make_bundle(default_prompt_name="query")
    path = tmp_path / "texts.csv"
    path.write_text("id,text\n1,стриж летит\n2,the swift flies быстрее всех птиц\n3,\n", encoding="utf-8")
    options = ["--prompt-name", "passage", "--normalize", "--truncate-dim", 5, "--max-batch-tokens", 64, "--threads", 1]
    status, _, err = strizh("embed", bundle, path, "-o", tmp_path / "out.npy", *options)
    assert status == 0, err
    texts = ["стриж летит", "the swift flies быстрее всех птиц", ""]
    encoder = load(bundle, threads=1, max_batch_tokens=64)
    expected = encoder.encode(texts, prompt_name="passage", normalize_embeddings=True, truncate_dim=5)
    np.testing.assert_array_equal(np.load(tmp_path / "out.npy"), expected)


def test_a_text_that_is_refused_is_named_by_its_number_in_the_file(strizh, make_bundle, tmp_path):
    """Far behind the first window, and counted from 1 as lines are."""
    path = tmp_path / "texts.txt"
    path.write_text("a b c\n" * 300 + "a b c " * 10 + "\n", encoding="utf-8")
    options = ["--overflow", "error", "--max-batch-tokens", 16]
    status, _, err = strizh("embed", make_bundle(), path, "-o", tmp_path / "out.npy", *options)
    assert status == 2 and "texts.txt: text 301 has" in err and err.count("\n") == 1


def test_standard_input_is_a_text_a_line(fake_strizh, tmp_path):
    status, _, err = finished(fake_strizh("embed", "bundle", "-o", "out.npy", "--truncate-dim", 5), "раз\nдва\n")
    assert status == 0, err
    np.testing.assert_array_equal(np.load(tmp_path / "out.npy"), [vector("раз")[:5], vector("два")[:5]])


def test_no_texts_give_an_empty_file_of_the_right_width(fake_strizh, tmp_path):
    assert finished(fake_strizh("embed", "bundle", "-", "-o", "out.npy"), "")[0] == 0
    assert np.load(tmp_path / "out.npy").shape == (0, 16)


def test_texts_that_were_cut_are_counted(fake_strizh, tmp_path):
    _, _, err = finished(fake_strizh("embed", "bundle", "-o", "out.npy"), "short\n" + "long " * 20 + "\n")
    assert "1 texts longer than 64 tokens were cut" in err


@pytest.mark.slow
@pytest.mark.parametrize("ending", [".npy", ".jsonl", ".parquet"])
def test_killed_at_any_moment_it_goes_on_to_the_same_bytes(fake_strizh, texts, tmp_path, ending):
    whole, output = tmp_path / f"whole{ending}", tmp_path / f"out{ending}"
    assert finished(fake_strizh("embed", "bundle", texts, "-o", whole))[0] == 0
    moments = random.Random(ending)
    killed_while_working = 0
    for _ in range(60):
        process = fake_strizh("embed", "bundle", texts, "-o", output, pause=0.02)
        journal = tmp_path / f"out{ending}.journal"
        before = journal.read_bytes() if journal.exists() else b""
        wait_for_work(process, journal, before)
        time.sleep(moments.uniform(0, 0.06))
        process.send_signal(signal.SIGKILL)
        finished(process)
        if output.exists() and not journal.exists():
            break
        killed_while_working += 1
    else:
        pytest.fail("60 runs did not finish 103 texts: an interrupted run makes no progress")
    assert killed_while_working >= 3
    assert output.read_bytes() == whole.read_bytes()


def wait_for_work(process: "subprocess.Popen[str]", journal: Path, before: bytes) -> None:
    """Until the journal changes, so that the kill falls into the work and not into Python's own start."""
    while process.poll() is None and (not journal.exists() or journal.read_bytes() == before):
        time.sleep(0.001)


@pytest.fixture
def interrupted(fake_strizh, texts, tmp_path):
    """An output that was begun, with some of its windows done."""
    process = fake_strizh("embed", "bundle", texts, "-o", "out.npy", pause=0.05)
    journal = tmp_path / "out.npy.journal"
    while not journal.exists() or json.loads(journal.read_bytes())["progress"]["texts"] == 0:
        assert process.poll() is None
        time.sleep(0.002)
    process.send_signal(signal.SIGINT)
    status, _, err = finished(process)
    assert status == 130 and "the same command continues" in err and "Traceback" not in err
    return tmp_path / "out.npy"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--variant", "cpu-bf16"], "--variant was 'portable-fp32', is 'cpu-bf16'"),
        (["--prompt", "query: "], "--prompt was the default, is 'query: '"),
        (["--truncate-dim", "4"], "--truncate-dim was the default, is 4"),
        (["--overflow", "split"], "--overflow was 'warn', is 'split'"),
    ],
)
def test_another_option_is_refused_and_force_begins_again(fake_strizh, interrupted, texts, options, said):
    status, _, err = finished(fake_strizh("embed", "bundle", texts, "-o", interrupted, *options))
    assert status == 2 and said in err and "--force" in err and err.count("\n") == 1
    assert finished(fake_strizh("embed", "bundle", texts, "-o", interrupted, *options, "--force"))[0] == 0
    assert len(np.load(interrupted)) == len(TEXTS)


def test_another_bundle_is_refused(fake_strizh, interrupted, texts, tmp_path):
    process = fake_strizh("embed", "other", texts, "-o", interrupted)
    other = tmp_path / "other"
    other.mkdir()
    (other / "strizh.json").write_text('{"name": "another"}')
    status, _, err = finished(process)
    assert status == 2 and "bundle was" in err


def test_another_input_is_refused(fake_strizh, interrupted, texts):
    changed = texts.read_text(encoding="utf-8").replace("строка 1:", "строка один:")
    texts.write_text(changed, encoding="utf-8")
    status, _, err = finished(fake_strizh("embed", "bundle", texts, "-o", interrupted))
    assert status == 2 and "are not those" in err and "--force" in err


@pytest.mark.skipif(sys.platform == "win32", reason="files are locked by flock")
def test_a_second_run_beside_the_first_is_refused_and_harms_nothing(fake_strizh, texts, tmp_path):
    first = fake_strizh("embed", "bundle", texts, "-o", "out.npy", pause=0.1)
    while not (tmp_path / "out.npy.journal").exists():
        assert first.poll() is None
        time.sleep(0.002)
    status, _, err = finished(fake_strizh("embed", "bundle", texts, "-o", "out.npy"))
    assert status == 2 and "is being written by another strizh embed" in err
    assert finished(first)[0] == 0
    np.testing.assert_array_equal(np.load(tmp_path / "out.npy"), [vector(text) for text in TEXTS])


def test_a_finished_output_is_not_overwritten(fake_strizh, texts, tmp_path):
    assert finished(fake_strizh("embed", "bundle", texts, "-o", "out.npy"))[0] == 0
    status, _, err = finished(fake_strizh("embed", "bundle", texts, "-o", "out.npy"))
    assert (status, err) == (2, "strizh: error: out.npy exists; --force replaces it\n")


def test_a_bad_row_stops_with_its_line_and_leaves_the_good_rows_to_continue_from(fake_strizh, tmp_path):
    path = tmp_path / "texts.jsonl"
    lines = [json.dumps(text) for text in TEXTS]
    path.write_text("\n".join([*lines[:90], "{", *lines[91:]]))
    status, _, err = finished(fake_strizh("embed", "bundle", path, "-o", "out.npy", pause=0.001))
    assert status == 2 and "line 91" in err and err.count("\n") == 1
    path.write_text("\n".join(lines))
    status, _, err = finished(fake_strizh("embed", "bundle", path, "-o", "out.npy"))
    assert status == 0 and "continuing after" in err
    np.testing.assert_array_equal(np.load(tmp_path / "out.npy"), [vector(text) for text in TEXTS])


@pytest.mark.parametrize(
    ("output", "said"),
    [
        ("out.bin", "known are .npy, .jsonl, .parquet"),
        ("nowhere/out.npy", "its folder does not exist"),
        ("texts.jsonl", "is the input itself"),
    ],
)
def test_an_impossible_output_is_refused_before_any_work(strizh, make_bundle, tmp_path, monkeypatch, output, said):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "texts.jsonl").write_text('"text"\n')
    status, _, err = strizh("embed", make_bundle(), "texts.jsonl", "-o", output, "--force")
    assert status == 2 and said in err and err.count("\n") == 1
    assert (tmp_path / "texts.jsonl").read_text() == '"text"\n'


@pytest.mark.skipif(sys.platform == "win32", reason="pseudo-terminals are of Unix")
def test_a_terminal_sees_progress_and_speed(fake_strizh, texts):
    import pty
    import termios

    reading, terminal = pty.openpty()
    termios.tcsetwinsize(terminal, (24, 120))
    process = fake_strizh("embed", "bundle", texts, "-o", "out.npy", pause=0.15, stderr=terminal)
    assert finished(process)[0] == 0
    os.close(terminal)
    shown = os.read(reading, 1 << 16).decode()
    os.close(reading)
    assert "texts/s" in shown and "tokens/s" in shown and "%" in shown


def test_a_refused_run_leaves_no_file_behind(fake_strizh, tmp_path):
    assert finished(fake_strizh("embed", "bundle", "missing.txt", "-o", "out.npy"))[0] == 2
    (tmp_path / "texts.txt").write_bytes("кириллица".encode("cp1251"))
    status, _, err = finished(fake_strizh("embed", "bundle", "texts.txt", "-o", "out.npy"))
    assert status == 2 and "texts.txt, line 1: byte 0xea is not UTF-8" in err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bundle", "texts.txt"]


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the peak of memory is read from /proc")
@pytest.mark.parametrize("endings", [(".txt", ".npy"), (".csv", ".jsonl"), (".parquet", ".parquet")])
def test_memory_does_not_grow_with_the_input(fake_strizh, tmp_path, monkeypatch, endings):
    """60 MB more of texts may cost a quarter of that, the noise of allocators: to keep the texts would cost all of it."""
    # Arrow's own pool hangs on to pages that it has freed: up to 25 MB of this test's 60, for no text that is kept.
    monkeypatch.setenv("ARROW_DEFAULT_MEMORY_POOL", "system")
    peaks, sizes = [], []
    for count in (30_000, 90_000):
        path = tmp_path / f"{count}{endings[0]}"
        sizes.append(write_texts(path, count))
        status, out, err = finished(fake_strizh("embed", "bundle", path, "-o", f"out{count}{endings[1]}"))
        assert status == 0, err
        peaks.append(int(out))
    assert peaks[1] - peaks[0] < (sizes[1] - sizes[0]) / 4


def write_texts(path: Path, count: int) -> int:
    """Texts of 1000 characters; returns their bytes."""
    texts = (f"{number:08d}" + "x" * 992 for number in range(count))
    if path.suffix == ".parquet":
        arrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
        schema = arrow.schema([("text", arrow.string())])
        with parquet.ParquetWriter(path, schema) as writer:
            for _ in range(0, count, 1000):
                writer.write_table(arrow.table({"text": [next(texts) for _ in range(1000)]}, schema=schema))
    else:
        path.write_text("text\n" * (path.suffix == ".csv") + "".join(f"{text}\n" for text in texts))
    return count * 1000


def test_a_place_that_cannot_be_written_is_said_before_any_text_is_read(strizh, make_bundle, tmp_path):
    folder = tmp_path / "out.npy"
    folder.mkdir()
    status, _, err = strizh("embed", make_bundle(), "-o", folder, "--force")
    assert status == 2 and "is a folder; give the name of a file" in err and err.count("\n") == 1


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--precision", "int8"), "--precision int8 needs --calibration VECTORS.npy"),
        (("--precision", "int8", "--calibration", "texts.txt"), "texts.txt is no .npy file of one array"),
        (("--precision", "int8", "--calibration", "empty.npy"), "empty.npy is no .npy file of one array"),
        (("--precision", "int8", "--calibration", "several.npz"), "several.npz is no .npy file of one array"),
        (("--precision", "int8", "--calibration", "broken.npz"), "broken.npz is no .npy file of one array"),
        (("--precision", "binary", "--calibration", "vectors.npy"), "--calibration is for --precision int8 and uint8"),
    ],
)
def test_calibration_vectors_that_do_not_fit_are_one_line(strizh, make_bundle, tmp_path, monkeypatch, options, said):
    bundle = make_bundle()
    monkeypatch.chdir(tmp_path)
    (tmp_path / "texts.txt").write_text("стриж\n")
    (tmp_path / "empty.npy").touch()
    np.save(tmp_path / "vectors.npy", np.eye(8, dtype=np.float32))
    np.savez(tmp_path / "several.npz", one=np.eye(8))
    (tmp_path / "broken.npz").write_bytes(b"PK\x03\x04 and no more")
    status, _, err = strizh("embed", bundle, "texts.txt", "-o", "v.npy", *options)
    assert status == 2 and said in err and err.count("\n") == 1


@pytest.mark.skipif(sys.platform == "win32", reason="needs limits of a process")
def test_a_full_disk_is_one_line_and_what_is_written_is_kept(fake_strizh, tmp_path):
    (tmp_path / "texts.txt").write_text("".join(f"{number}\n" for number in range(5000)))
    limited = "import resource, runpy, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000)); sys.argv.pop(0); \
runpy.run_path(sys.argv[0], run_name='__main__')"
    started = fake_strizh("doctor", "--help")
    started.communicate(timeout=120)
    command = [*started.args[:4], "embed", "bundle", "texts.txt", "-o", "v.npy"]
    stopped = subprocess.run([command[0], "-c", limited, *command[2:]], cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert stopped.returncode == 2, stopped.stderr
    assert "v.npy cannot be written: File too large. 1,500 texts are kept" in stopped.stderr
    assert stopped.stderr.count("\n") == 1
    done = fake_strizh("embed", "bundle", "texts.txt", "-o", "v.npy")
    _, err = done.communicate(timeout=120)
    assert done.returncode == 0 and "continuing after 1,500 texts" in err
    assert len(np.load(tmp_path / "v.npy")) == 5000
