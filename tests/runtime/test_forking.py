"""A forked child encodes with threads of its own, exits, and prints nothing; the parent notices nothing."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

PROGRAM = """
import multiprocessing, os, sys
import numpy as np
import strizh

encoder = strizh.load(sys.argv[1])
texts = ["стриж летит", "the swift flies a b c"] * 200
wanted = encoder.encode(texts)

def child():
    again = encoder.encode(texts)
    sys.exit(0 if np.array_equal(again, wanted) else 3)

process = multiprocessing.get_context("fork").Process(target=child)
process.start()
process.join(60)
assert process.exitcode == 0, process.exitcode
# Without multiprocessing, the interpreter of the child is torn down in full.
if (pid := os.fork()) == 0:
    assert np.array_equal(encoder.encode(texts), wanted)
    sys.exit(0)
assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
assert np.array_equal(encoder.encode(texts), wanted)
assert "TOKENIZERS_PARALLELISM" not in os.environ
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows does not fork")
def test_fork(make_bundle: Callable[..., Path]) -> None:
    command = [sys.executable, "-W", "ignore", "-c", PROGRAM, str(make_bundle())]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
