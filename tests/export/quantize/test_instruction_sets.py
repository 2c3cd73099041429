"""cpu-int8 of the embedded real checkpoint gives the same vectors whatever multiplies its integers."""

import itertools
from pathlib import Path

import numpy as np
import pytest

from strizh import kernels
from strizh.export import export_model
from strizh.export.instruction_sets import run_on
from strizh.export.parity import cosines
from strizh.export.verify import sentences_of
from strizh.runtime.manifest import read_manifest

CHECKPOINT = Path(__file__).parents[2] / "data/rope-e5-tiny-ru"
SETS = (*kernels.instruction_sets(), "amx_emulated") if kernels.library_path() else ()


@pytest.mark.slow
@pytest.mark.skipif(not SETS, reason="the kernels were not built")
def test_every_instruction_set_gives_the_same_vectors(tmp_path: Path) -> None:
    manifest = export_model(CHECKPOINT, tmp_path / "bundle", variants=["cpu-int8"])
    assert manifest.variants["cpu-int8"].details["int8"]["percent_of_matrix_flops_at_128_tokens"] >= 85
    texts = sentences_of(tmp_path / "bundle", 33)[::8]
    found = {name: run_on(name, tmp_path / "bundle", "cpu-int8", texts) for name in SETS}
    for name, (alone, together) in found.items():
        np.testing.assert_array_equal(alone, together, err_msg=f"{name}: a text depends on its neighbours")
    # The integers are exact and every float is rounded in one order, but for AMX, which sums the bfloat16 products of attention
    # otherwise. Where that moves a value over the edge of two codes, 1 / 255 of a row's range moves with it, which is about
    # its length at most: a turn of 1 / 255, 8e-6 of that row's cosine. It happens to few texts, and to few rows of four layers.
    for one, other in itertools.combinations(SETS, 2):
        same = cosines(found[one][0], found[other][0])
        if any("amx" in name for name in (one, other)):
            assert same.mean() >= 0.99999, f"{one} against {other}"
            assert same.min() >= 1 - 2e-5, f"{one} against {other}"
        else:
            np.testing.assert_array_equal(found[one], found[other], err_msg=f"{one} against {other}")
    assert read_manifest(tmp_path / "bundle").parity["cpu-int8"]["cosine_min"] >= 0.998
