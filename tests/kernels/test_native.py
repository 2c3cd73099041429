"""The native test program: random layers on every instruction set against the plain one, and input to be refused.

Built with AddressSanitizer and UndefinedBehaviorSanitizer, and run for a few seconds; `make fuzz` runs it for longer.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

_SOURCE = Path(__file__).parent / "native"
_PATH = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
_CMAKE = shutil.which("cmake", path=_PATH)


def _cmake(*arguments: str) -> None:
    done = subprocess.run([str(_CMAKE), *arguments], cwd=_SOURCE, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
@pytest.mark.skipif(_CMAKE is None, reason="cmake is not installed")
def test_random_layers_with_sanitizers() -> None:
    _cmake("--preset", "sanitized")
    _cmake("--build", "--preset", "sanitized")
    program = _SOURCE.parents[2] / "build/native-sanitized/differ"
    done = subprocess.run([program, "--seconds", "10"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "rounds passed" in done.stdout
    print(done.stdout)
