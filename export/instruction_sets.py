"""The packed variants on every instruction set of this machine: each in a process of its own, as the choice is made once."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np

import strizh
from strizh import kernels
from strizh.export.baseline import Vectors
from strizh.export.parity import compare
from strizh.runtime.batching import PackedBatch
from strizh.runtime.errors import DeviceError

_LONGEST = 129  # tokens; the plain C++ path takes minutes for a text of thousands


def cosine_by_instruction_set(
    bundle: Path, variant: str, texts: list[list[int]], baseline: Vectors | None
) -> dict[str, float]:
    """Worst cosine to the baseline on each instruction set, over the texts of at most 129 tokens, each alone.

    `baseline` has a row for each text; without it the first instruction set's vectors take its place.
    """
    rows = [index for index, text in enumerate(texts) if len(text) <= _LONGEST]
    short = [texts[index] for index in rows]
    expected = None if baseline is None else baseline[rows]
    found = {}
    for name in kernels.instruction_sets():
        vectors = _run(bundle, variant, short, name)
        expected = vectors if expected is None else expected
        found[name] = compare(vectors, expected, "").cosine_min
    return found


def _run(bundle: Path, variant: str, texts: list[list[int]], instruction_set: str) -> Vectors:
    command = [sys.executable, "-m", "strizh.export.instruction_sets", str(bundle), variant]
    environment = os.environ | {"STRIZH_ISA": instruction_set}
    done = subprocess.run(command, input=json.dumps(texts).encode(), capture_output=True, env=environment, check=False)
    if done.returncode:
        reason = done.stderr.decode(errors="replace").strip().splitlines()[-1:]
        raise DeviceError(f"variant {variant} does not run with STRIZH_ISA={instruction_set}: {' '.join(reason)}.")
    return np.frombuffer(done.stdout, np.float32).reshape(len(texts), -1)


def main() -> None:
    """Token ids as JSON on standard input to float32 rows on standard output."""
    bundle, variant = sys.argv[1:]
    with strizh.load(bundle, variant=variant) as encoder:
        rows = [encoder.encode_tokens(PackedBatch.pack([text])) for text in json.load(sys.stdin)]
    sys.stdout.buffer.write(np.concatenate(rows).tobytes())


if __name__ == "__main__":
    main()
