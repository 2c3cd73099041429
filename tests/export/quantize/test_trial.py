"""A plan on trial: what is measured with some sites in int8 is what a graph with those sites gives."""

from pathlib import Path

import numpy as np
import onnx
import pytest

from strizh.export import targets
from strizh.export.parity import cosines
from strizh.export.passes.int8_products import quantize_products
from strizh.export.quantize.int8 import Calibration
from strizh.export.quantize.trial import trial
from strizh.export.recipes import ANY_CPU, PACKED, PORTABLE_FP32, STATIC, Int8, Promise

# A cosine is the square of an angle, so that a code that falls to the other side changes little of it.
TOLERANCE = 2e-6


@pytest.mark.parametrize("int8", [ANY_CPU, STATIC, PACKED])
def test_some_sites_are_measured_as_their_graph_computes_them(
    int8: Int8, load, run_padded, texts, tmp_path: Path
) -> None:
    spec, weights = load("bert")

    def build() -> onnx.ModelProto:
        return targets.build(PORTABLE_FP32, spec, weights, "embedding")

    calibration = Calibration(build, texts, tmp_path)
    sites = calibration.plan(int8, Promise(-1, -1), lambda what: None).sites
    with trial(build, sites, texts, calibration.vectors, tmp_path) as measure:
        for some in (sites, sites[::2], sites[1::2]):
            model = build()
            quantize_products(model, some)
            alone = np.concatenate([run_padded(model, [text])[1] for text in texts])
            np.testing.assert_allclose(measure(some), cosines(alone, calibration.vectors), rtol=0, atol=TOLERANCE)
            np.testing.assert_allclose(measure(some, [1, 5]), measure(some)[[1, 5]], rtol=0, atol=TOLERANCE)
        np.testing.assert_allclose(measure([]), 1, rtol=0, atol=1e-12)
    lost = 1 - cosines(alone, calibration.vectors).min()
    assert lost > 10 * TOLERANCE, "sites that change nothing would show nothing"
