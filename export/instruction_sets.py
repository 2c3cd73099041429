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
    """Worst cosine to the baseline on each instruction set, over the texts of at most 129 tokens, alone and together.

    `baseline` has a row for each text; without it the first instruction set's vectors take its place.
    """
    rows = [index for index, text in enumerate(texts) if len(text) <= _LONGEST]
    short = [texts[index] for index in rows]
    expected = None if baseline is None else baseline[rows]
    found = {}
    for name in kernels.instruction_sets():
        vectors = run_on(name, bundle, variant, short)
        expected = vectors[0] if expected is None else expected
        found[name] = min(compare(company, expected, "").cosine_min for company in vectors)
    return found


def run_on(instruction_set: str, bundle: Path, variant: str, texts: list[list[int]]) -> Vectors:
    """float32 [2, texts, dimension]: every text alone, and all in one batch. Raises `DeviceError` if it does not run."""
    command = [sys.executable, "-m", "strizh.export.instruction_sets", str(bundle), variant]
    environment = os.environ | {"STRIZH_ISA": instruction_set}
    done = subprocess.run(command, input=json.dumps(texts).encode(), capture_output=True, env=environment, check=False)
    if done.returncode:
        reason = done.stderr.decode(errors="replace").strip().splitlines()[-1:]
        raise DeviceError(f"variant {variant} does not run with STRIZH_ISA={instruction_set}: {' '.join(reason)}.")
    return np.frombuffer(done.stdout, np.float32).reshape(2, len(texts), -1)


def main() -> None:
    """Token ids as JSON on standard input to float32 rows on standard output: of each text alone, then of all together."""
    bundle, variant = sys.argv[1:]
    with strizh.load(bundle, variant=variant) as encoder:
        texts = json.load(sys.stdin)
        rows = [encoder.encode_tokens(PackedBatch.pack(batch)) for batch in [*([text] for text in texts), texts]]
    sys.stdout.buffer.write(np.concatenate(rows).tobytes())


if __name__ == "__main__":
    main()
