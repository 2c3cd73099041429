"""A plan on trial: what is measured with some sites in int8 is what a graph with those sites gives."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from strizh.export import targets
from strizh.export.parity import cosines
from strizh.export.passes.int8_products import quantize_products
from strizh.export.quantize.int8 import Calibration
from strizh.export.quantize.probe import of_like_length, opened
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


@given(st.lists(st.integers(1, 300), max_size=40))
def test_batches_of_like_length_hold_every_text_once_with_little_padding(lengths: list[int]) -> None:
    batches = of_like_length([[1] * length for length in lengths])
    assert sorted(number for batch in batches for number in batch) == list(range(len(lengths)))
    for batch in batches:
        assert sum(lengths[batch[0]] - lengths[number] for number in batch) <= 12
    assert len(batches) <= len(set(lengths))


@pytest.mark.parametrize("kind", ["bert", "xlm-roberta", "ropebert"])
def test_padding_changes_no_vector(kind: str, load, tmp_path: Path) -> None:
    spec, weights = load(kind)
    draw = np.random.default_rng(0)
    texts = [draw.integers(5, len(weights["embeddings.word"]), length).tolist() for length in (13, 9, 2)]
    with opened(targets.build(PORTABLE_FP32, spec, weights, "embedding"), tmp_path) as run:
        together = run(texts)["sentence_embedding"]
        alone = np.concatenate([run([text])["sentence_embedding"] for text in texts])
    np.testing.assert_allclose(together, alone, rtol=0, atol=1e-6)
