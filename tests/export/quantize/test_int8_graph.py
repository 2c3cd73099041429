"""portable-int8 as a graph: what it computes, on what it depends, and which operators it needs."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from strizh.export import targets
from strizh.export.parity import compare
from strizh.export.passes.int8_products import inputs_of_products
from strizh.export.quantize.int8 import Calibration, Quantized
from strizh.export.quantize.probe import opened
from strizh.export.quantize.rounding import Codes, columns
from strizh.export.quantize.site import Static
from strizh.export.recipes import PORTABLE_FP32, PORTABLE_INT8, Promise
from strizh.export.spec import EncoderSpec
from strizh.export.weights import Array

NO_PROMISE = Promise(-1, -1)


@pytest.fixture
def plan(tmp_path: Path, texts: list[list[int]]) -> Callable[..., Quantized]:
    """`plan(spec, weights, promise=...)`: calibrated on `texts`."""

    def make(spec: EncoderSpec, weights: Mapping[str, Array], promise: Promise = NO_PROMISE) -> Quantized:
        calibration = Calibration(lambda: targets.build(PORTABLE_FP32, spec, weights, "embedding"), texts, tmp_path)
        assert PORTABLE_INT8.int8
        return calibration.plan(PORTABLE_INT8.int8, promise, lambda what: None)

    return make


def with_outliers(tensors: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Two channels of every norm's output forty times the others, as trained encoders have them."""
    for name in tensors:
        if name.endswith("output.LayerNorm.weight"):
            tensors[name][[3, 7]] *= 40
    return tensors


def with_constants(tensors: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """A layer whose weights are all the same number, and one of zeros."""
    tensors["encoder.layer.0.intermediate.dense.weight"][:] = 0.25
    tensors["encoder.layer.1.attention.output.dense.weight"][:] = 0
    return tensors


@pytest.mark.parametrize("kind", ["bert", "xlm-roberta", "ropebert"])
@pytest.mark.parametrize("change", [dict, with_outliers, with_constants])
def test_vectors_stay_near_the_floats(kind, change, load, plan, run_padded, texts) -> None:
    spec, weights = load(kind, change=change)
    model = targets.build(PORTABLE_INT8, spec, weights, "embedding", plan(spec, weights), int8_table=True)
    plain = targets.build(PORTABLE_FP32, spec, weights, "embedding")
    found = compare(run_padded(model, texts)[1], run_padded(plain, texts)[1], "")
    # A normal weight of 24 inputs lies within 2.1 sigma: 7 bits round it to 1 % of sigma, and 8-bit activations cost half
    # of that. Eight products in a row and the norms after them make an angle of a few hundredths; 0.1 is a cosine of .995.
    # With outliers a single text may hang on one that falls to the other side of a code's edge: it may be off by twice that.
    assert found.cosine_mean > 1 - 0.1**2 / 2
    assert found.cosine_min > 1 - (0.2 if change is with_outliers else 0.1) ** 2 / 2


def test_outliers_cost_less_than_with_one_scale_for_the_tensor(load, plan, run_padded, texts, tmp_path) -> None:
    spec, weights = load(change=with_outliers)
    ours = plan(spec, weights)
    usual = [
        replace(
            site,
            activations=one_scale(site, spec, weights, texts, tmp_path),
            smoothing=None,
            rounded=nearest(site, spec, weights, ours.int8.weight_max),
        )
        for site in ours.sites
    ]
    plain = run_padded(targets.build(PORTABLE_FP32, spec, weights, "embedding"), texts)[1]

    def lost(quantized: Quantized) -> float:
        model = targets.build(PORTABLE_INT8, spec, weights, "embedding", quantized)
        return 1 - compare(run_padded(model, texts)[1], plain, "").cosine_mean

    assert lost(ours) < lost(replace(ours, sites=tuple(usual))) / 2


def one_scale(site, spec, weights, texts, tmp_path) -> Static:
    """The largest magnitude of the site's input, as a quantiser over whole tensors takes it."""
    model = targets.build(PORTABLE_FP32, spec, weights, "embedding")
    value = next(name for name, found in inputs_of_products(model).items() if found == site.weights)
    with opened(model, tmp_path, (value,)) as run:
        return Static(max(float(np.abs(run([text])[value]).max()) for text in texts) / 127)


def nearest(site, spec, weights, largest: int) -> Mapping[str, tuple[Codes, Array]]:
    """The site's matrices with every number rounded to the nearest code."""
    tensors = targets.build(PORTABLE_FP32, spec, weights, "embedding").graph.initializer
    return {
        tensor.name: columns(numpy_helper.to_array(tensor), largest)
        for tensor in tensors
        if tensor.name in site.weights
    }


def test_a_text_alone_and_in_company(load, plan, run_padded, texts) -> None:
    spec, weights = load(change=with_outliers)
    model = targets.build(PORTABLE_INT8, spec, weights, "embedding", plan(spec, weights), int8_table=True)
    together = run_padded(model, texts)[1]
    alone = np.concatenate([run_padded(model, [text])[1] for text in texts])
    assert compare(alone, together, "").cosine_min >= 0.99999


def test_a_text_without_tokens_gives_zeros(load, plan, run_padded, texts) -> None:
    spec, weights = load()
    model = targets.build(PORTABLE_INT8, spec, weights, "embedding", plan(spec, weights), int8_table=True)
    assert (run_padded(model, [[], *texts])[1][0] == 0).all()


def test_only_standard_operators_unsigned_activations_and_seven_bits_of_weight(load, plan) -> None:
    spec, weights = load()
    model = targets.build(PORTABLE_INT8, spec, weights, "embedding", plan(spec, weights), int8_table=True)
    assert {node.domain for node in model.graph.node} == {""}
    tensors = {tensor.name: tensor for tensor in model.graph.initializer}
    products = [name.removesuffix(".codes") for name in tensors if name.endswith(".weight.codes")]
    assert len(products) == 4 * len(spec.layers)
    for name in products:
        assert np.abs(numpy_helper.to_array(tensors[f"{name}.codes"]).astype(int)).max() == 63
    zeros = [node.input[2] for node in model.graph.node if node.op_type == "QuantizeLinear"]
    assert {tensors[name].data_type for name in zeros} == {onnx.TensorProto.UINT8}
    assert tensors["embeddings.word.codes"].data_type == onnx.TensorProto.INT8
    assert not any(name in tensors for name in ("embeddings.word", "layers.0.mlp.up.weight")), "the floats are gone"
    # What lets AVX2 add two products in 16 bits without saturation.
    assert 2 * 255 * 63 < 2**15


def test_the_largest_activations_saturate_and_nothing_wraps_around(load, plan, run_padded, texts) -> None:
    """A token never seen in calibration whose embedding is far out: the static scales clip it."""
    spec, weights = load("bert")
    quantized = plan(spec, weights)
    far = dict(weights) | {"embeddings.norm.bias": weights["embeddings.norm.bias"] * 30}
    model = targets.build(PORTABLE_INT8, spec, far, "embedding", quantized, int8_table=True)
    tokens, sentences = run_padded(model, texts)
    assert np.isfinite(tokens).all()
    np.testing.assert_allclose(np.linalg.norm(sentences, axis=1), 1, atol=1e-5)
    plain = targets.build(PORTABLE_FP32, spec, far, "embedding")
    assert compare(sentences, run_padded(plain, texts)[1], "").cosine_mean > 0.5, "clipped, not turned around"


def test_a_promise_that_int8_cannot_keep_leaves_every_product_in_float(load, plan, run_padded, texts) -> None:
    spec, weights = load()
    quantized = plan(spec, weights, Promise(1 - 1e-12, 1 - 1e-12))
    assert not quantized.sites
    assert len(quantized.kept) == 4 * len(spec.layers)
    model = targets.build(PORTABLE_INT8, spec, weights, "embedding", quantized)
    plain = targets.build(PORTABLE_FP32, spec, weights, "embedding")
    np.testing.assert_array_equal(run_padded(model, texts)[1], run_padded(plain, texts)[1])
