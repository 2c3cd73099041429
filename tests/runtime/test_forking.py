"""A forked child encodes with threads of its own, exits, and prints nothing; the parent notices nothing."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from strizh import kernels

PROGRAM = """
import multiprocessing, os, sys
import numpy as np
import strizh

encoder = strizh.load(sys.argv[1], sys.argv[2])
texts = ["стриж летит", "the swift flies a b c"] * 50
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


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system does not fork")
@pytest.mark.parametrize("variant", ["portable-fp32", *(["cpu-fp32"] if kernels.library_path() else [])])
def test_fork(exported: Path, variant: str) -> None:
    command = [sys.executable, "-W", "ignore", "-c", PROGRAM, str(exported), variant]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
