"""What the tests of the commands share: the command line, in this process and in one of its own."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

FAKE = Path(__file__).with_name("fake_encoder.py")


@pytest.fixture
def strizh(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Runs one command in this process: (status, stdout, stderr)."""
    from strizh.runtime import cli

    def run(*arguments: object) -> tuple[int, str, str]:
        status = cli.main([str(argument) for argument in arguments])
        shown = capsys.readouterr()
        return status, shown.out, shown.err

    return run


@pytest.fixture
def fake_strizh(tmp_path: Path) -> Callable[..., "subprocess.Popen[str]"]:
    """Starts the command line in a process whose encoder needs no model; `pause` is seconds a window."""

    def start(*arguments: object, pause: float = 0.0, stderr: int = subprocess.PIPE) -> "subprocess.Popen[str]":
        bundle = tmp_path / "bundle"
        bundle.mkdir(exist_ok=True)
        (bundle / "strizh.json").write_text("{}")
        command = [sys.executable, "-P", str(FAKE), str(pause), *map(str, arguments)]
        pipe = subprocess.PIPE
        return subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=stderr, text=True, cwd=tmp_path)

    return start
