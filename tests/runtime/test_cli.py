"""The front end: what the user sees when a command is missing, fails, is interrupted, or loses its reader."""

import os
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from importlib import metadata
from types import SimpleNamespace

import pytest

from strizh.runtime import cli
from strizh.runtime.errors import BundleError


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], int]], None]:
    """Registers one command, `do`, that runs the given function."""

    def register(action: Callable[[], int]) -> None:
        module = SimpleNamespace(HELP="do it", add_arguments=lambda parser: None, run=lambda args: action())
        point = SimpleNamespace(name="do", load=lambda: module)
        monkeypatch.setattr(metadata, "entry_points", lambda group: [point])

    return register


def raising(error: BaseException) -> Callable[[], int]:
    def action() -> int:
        raise error

    return action


def test_status_is_the_commands_own(command):
    command(lambda: 7)
    assert cli.main(["do"]) == 7


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (BundleError("bundle 'x' has format 9"), "strizh: error: bundle 'x' has format 9"),
        (
            FileNotFoundError(2, "No such file or directory", "in.txt"),
            "strizh: error: in.txt: No such file or directory",
        ),
        (
            ModuleNotFoundError("No module named 'pyarrow.parquet'", name="pyarrow.parquet"),
            "strizh: error: strizh do needs pyarrow, which is not installed. Run: pip install 'strizh[parquet]'",
        ),
        (
            MemoryError("Unable to allocate 9 TiB"),
            "strizh: error: there is not enough memory (Unable to allocate 9 TiB). Free some",
        ),
        (
            OSError(28, "No space left on device", "v.npy"),
            "strizh: error: v.npy: No space left on device. Make room on the disk, or write to another place",
        ),
        (OSError("no such model\non the hub"), "strizh: error: no such model on the hub"),
    ],
)
def test_an_expected_failure_is_one_line_and_status_2(command, capsys, error, line):
    command(raising(error))
    assert cli.main(["do"]) == 2
    shown = capsys.readouterr()
    assert (shown.out, shown.err) == ("", line + "\n")


def test_interrupt_is_status_130_without_traceback(command, capsys):
    command(raising(KeyboardInterrupt()))
    assert cli.main(["do"]) == 130
    assert capsys.readouterr().err == "strizh: interrupted\n"


def test_a_missing_module_that_no_extra_brings_is_not_hidden(command):
    command(raising(ModuleNotFoundError("No module named 'nowhere'", name="nowhere")))
    with pytest.raises(ModuleNotFoundError):
        cli.main(["do"])


@pytest.mark.parametrize("error", [ImportError("torch is not there"), BundleError("torch is not there")])
def test_help_lists_a_command_that_cannot_be_loaded(monkeypatch, capsys, error):
    load = raising(error)
    monkeypatch.setattr(metadata, "entry_points", lambda group: [SimpleNamespace(name="broken", load=load)])
    with pytest.raises(SystemExit) as ending:
        cli.main(["--help"])
    assert ending.value.code == 0
    assert "cannot be loaded: torch is not there" in " ".join(capsys.readouterr().out.split())


def test_a_warning_is_shown_once_a_command(command, capsys):
    def warn() -> int:
        for number, line in enumerate(["the driver is old", "the driver is old", "the disk is slow"]):
            warnings.warn_explicit(line, RuntimeWarning, "x.py", number)
        return 0

    command(warn)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        for _ in range(2):
            assert cli.main(["do"]) == 0
            shown = capsys.readouterr().err.splitlines()
            assert shown == ["strizh: warning: the driver is old", "strizh: warning: the disk is slow"]


@pytest.mark.skipif(sys.platform == "win32", reason="signals of Unix")
def test_a_command_that_is_told_to_end_ends_as_after_an_error(command):
    left = []

    def wait() -> int:
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(60)
        finally:
            left.append("in order")
        return 0

    command(wait)
    host = signal.signal(signal.SIGTERM, signal.SIG_DFL)
    try:
        with pytest.raises(SystemExit) as ending:
            cli.main(["do"])
        assert (ending.value.code, left) == (cli.TERMINATED, ["in order"])
        assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    finally:
        signal.signal(signal.SIGTERM, host)


@pytest.mark.skipif(sys.platform == "win32", reason="signals of Unix")
def test_a_handler_that_is_there_stays(command):
    heard = []

    def wait() -> int:
        os.kill(os.getpid(), signal.SIGTERM)
        return 0

    command(wait)
    host = signal.signal(signal.SIGTERM, lambda *_: heard.append("the host"))
    try:
        assert (cli.main(["do"]), heard) == (0, ["the host"])
    finally:
        signal.signal(signal.SIGTERM, host)


def strizh(*arguments: str, **options: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-P", "-m", "strizh.runtime.cli", *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        **options,
    )


def buffered() -> dict[str, str]:
    """An environment in which what is printed waits for the flush at the end."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}


def test_help_is_quick_because_nothing_heavy_is_imported():
    script = """
import sys
from strizh.runtime import cli
try:
    cli.main(["--help"])
except SystemExit:
    pass
heavy = {"numpy", "onnxruntime", "tokenizers", "torch", "transformers", "onnx", "safetensors", "pyarrow"} & set(sys.modules)
sys.exit(f"imported for --help: {heavy}" if heavy else 0)
"""
    done = subprocess.run([sys.executable, "-P", "-c", script], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert all(name in done.stdout for name in ("export", "inspect", "verify", "embed", "doctor"))


def test_an_unknown_command_names_the_known_ones():
    done = strizh("embedd")
    assert done.returncode == 2
    assert "embedd" in done.stderr and "doctor" in done.stderr and "Traceback" not in done.stderr


def test_an_unknown_option_names_the_help_of_its_command():
    done = strizh("doctor", "--olga")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "strizh: error: unrecognized arguments: --olga. See `strizh doctor --help`\n"


def test_a_reader_that_leaves_hides_no_error():
    reading, writing = os.pipe()
    os.close(reading)
    script = """
import argparse, sys
from importlib import metadata
from types import SimpleNamespace
from strizh.runtime import cli
from strizh.runtime.errors import UsageError

def run(args):
    print("some lines")
    raise UsageError("the input is wrong")

module = SimpleNamespace(HELP="do it", add_arguments=lambda parser: None, run=run)
metadata.entry_points = lambda group: [SimpleNamespace(name="do", load=lambda: module)]
sys.exit(cli.main(["do"]))
"""
    process = subprocess.run(
        [sys.executable, "-P", "-c", script],
        stdout=writing,
        stderr=subprocess.PIPE,
        env=buffered(),
        text=True,
        timeout=120,
    )
    os.close(writing)
    assert (process.returncode, process.stderr) == (cli.FAILED, "strizh: error: the input is wrong\n")


def test_a_reader_that_leaves_is_not_an_error():
    reading, writing = os.pipe()
    os.close(reading)
    process = subprocess.run(
        [sys.executable, "-P", "-m", "strizh.runtime.cli", "doctor"],
        stdout=writing,
        stderr=subprocess.PIPE,
        timeout=120,
    )
    os.close(writing)
    assert (process.returncode, process.stderr) == (cli.BROKEN_PIPE, b"")


@pytest.mark.parametrize(("module", "extra"), [("onnx", "export"), ("safetensors", "export")])
def test_exporting_without_its_extra_is_one_line_with_the_command(module, extra, tmp_path):
    script = f"""
import sys
sys.modules[{module!r}] = None  # as if it were not installed
from strizh.runtime import cli
sys.exit(cli.main(["export", "nowhere", "--output", "bundle"]))
"""
    done = subprocess.run([sys.executable, "-P", "-c", script], capture_output=True, text=True, cwd=tmp_path, timeout=120)
    assert done.returncode == 2
    assert module in done.stderr and f"pip install 'strizh[{extra}]'" in done.stderr and done.stderr.count("\n") == 1


@pytest.mark.parametrize("arguments", [(), ("embedd",), ("embed",), ("embed", "b", "-o", "v.npy", "--threads", "many")])
def test_a_wrong_command_line_is_one_line_that_names_the_help(arguments):
    done = strizh(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1 and done.stderr.startswith("strizh: error: ")
    assert "--help`" in done.stderr


CLOSED = "import os, sys; os.close(int(sys.argv[1])); os.execv(sys.executable, [sys.executable, '-P', '-m', *sys.argv[2:]])"


@pytest.mark.skipif(sys.platform == "win32", reason="a process of Windows has its streams")
@pytest.mark.parametrize(
    ("stream", "command", "status", "out", "err"),
    [
        (0, ("embed", "nowhere", "-o", "v.npy"), 2, "", "strizh: error: standard input is closed"),
        (1, ("--version",), 0, "", ""),
        (1, ("inspect", "nowhere"), 2, "", "strizh: error: 'nowhere' is not a folder"),
        (2, ("--version",), 0, "strizh ", ""),
        (2, ("inspect", "nowhere"), 2, "", ""),
    ],
)
def test_a_closed_stream_is_no_crash(tmp_path, stream, command, status, out, err):
    done = subprocess.run(
        [sys.executable, "-c", CLOSED, str(stream), "strizh.runtime.cli", *command],
        capture_output=True, text=True, cwd=tmp_path, timeout=120,
    )  # fmt: skip
    assert done.returncode == status
    for found, expected in ((done.stdout, out), (done.stderr, err)):
        assert found.startswith(expected) and found.count("\n") == bool(expected)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full here")  # noqa: PTH110
def test_output_that_the_disk_has_no_room_for_is_one_line():
    with open("/dev/full", "w") as full:  # noqa: PTH123
        done = subprocess.run([sys.executable, "-P", "-m", "strizh.runtime.cli", "doctor"], stdout=full,
                              stderr=subprocess.PIPE, env=buffered(), text=True, timeout=120)  # fmt: skip
    said = "standard output: No space left on device. Make room on the disk, or write to another place"
    assert (done.returncode, done.stderr) == (2, f"strizh: error: {said}\n")
