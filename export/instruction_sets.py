"""The packed variants on every instruction set of this machine: each in a process of its own, as the choice is made once."""

import itertools
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

import strizh
from strizh import kernels
from strizh.export.baseline import Vectors
from strizh.export.parity import compare, cosines
from strizh.runtime.batching import PackedBatch
from strizh.runtime.errors import DeviceError

_LONGEST = 129  # tokens; the plain C++ path takes minutes for a text of thousands


def on_instruction_sets(
    bundle: Path, variant: str, texts: list[list[int]], baseline: Vectors | None, *, emulate_amx: bool
) -> dict[str, Any]:
    """What the report has of a variant on each instruction set, over the texts of at most 129 tokens, alone and together.

    `cosine_by_instruction_set` is the worst cosine to the baseline, which has a row for each text; without it the first
    set's vectors take its place. `between_instruction_sets` is the worst cosine between any two sets, with AMX emulated
    where there is none if `emulate_amx`; `same_bits` says whether all of them give the same.
    """
    rows = [index for index, text in enumerate(texts) if len(text) <= _LONGEST]
    short = [texts[index] for index in rows]
    expected = None if baseline is None else baseline[rows]
    names = kernels.instruction_sets()
    if emulate_amx and "amx" not in names:
        names = (*names, "amx_emulated")
    found = {name: run_on(name, bundle, variant, short) for name in names}
    expected = found[names[0]][0] if expected is None else expected
    pairs = list(itertools.combinations(found.values(), 2))
    return {
        "cosine_by_instruction_set": {
            name: min(compare(company, expected, "").cosine_min for company in vectors)
            for name, vectors in found.items()
        },
        "between_instruction_sets": min(
            (float(cosines(a, b).min()) for one, other in pairs for a, b in zip(one, other, strict=True)), default=1.0
        ),
        "same_bits": all(np.array_equal(one, other) for one, other in pairs),
    }


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
