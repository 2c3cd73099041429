"""Products of 8-bit integers: the same integers on every instruction set, whatever the rows hold."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from strizh.kernels import layout, native, reference, reference_int8, reference_layer

Random = np.random.Generator
OPTIONS: dict[str, Any] = {
    "head_size": 32, "activation": "gelu", "attention_scale": 32**-0.5, "norm_kind": "layer_norm", "norm_eps": 1e-6,
}  # fmt: skip


def exact(x: Any, weight: Any, smoothing: Any = 1.0) -> Any:
    """What quantised operands give: an exact integer, two float32 scales multiplied, one float32 product."""
    s = np.asarray(smoothing, np.float32)
    (q, scale), (w, columns) = reference_int8.quantize_rows(x * (1 / s)), reference_int8.quantize(weight * s)
    return (q @ w.T).astype(np.float32) * (scale[:, None] * columns[None])


def test_rows_become_the_nearest_of_256_integers(rng: Random) -> None:
    x = rng.normal(size=(7, 300)).astype(np.float32)
    x[1] = np.abs(x[1])
    x[2], x[3], x[4, 17], x[5, 299], x[6, :9] = -np.abs(x[2]), 0, 400, -400, 0
    q, scale = reference_int8.quantize_rows(x)
    np.testing.assert_array_equal(q, np.rint(q))
    # An end of a row and its zero may both be halves: then that end is cut by half a step.
    assert (np.abs(x - q * scale[:, None]) <= scale[:, None] * 1.0001).all()
    assert (np.abs(x - q * scale[:, None]) <= scale[:, None] * 0.5001).mean() > 0.99
    assert (q[x == 0] == 0).all()
    q[4, 17] = q[5, 299] = 0
    assert (q.max(1) - q.min(1) <= 255).all()
    assert (q.max(1) - q.min(1))[[0, 1, 2, 4, 5, 6]].min() >= 254
    for row in (1, 2):
        assert scale[row] == pytest.approx(np.abs(x[row]).max() / 255)
    assert scale[4] == pytest.approx(np.ptp(np.delete(x[4], 17)) / 255)


def product(x: Any, weight: Any, smoothing: Any = None) -> Any:
    return native.dense(x, weight, None, activation="identity", precision="int8", smoothing=smoothing)


@pytest.mark.parametrize(
    ("rows", "k", "columns"),
    [(0, 5, 7), (1, 1, 1), (2, 63, 31), (13, 64, 33), (15, 65, 64), (33, 96, 70), (130, 312, 40)],
)
def test_integers_are_exact(isa: str, rows: int, k: int, columns: int, rng: Random) -> None:
    x, weight = rng.normal(size=(rows, k)).astype(np.float32), rng.normal(size=(columns, k)).astype(np.float32)
    np.testing.assert_array_equal(product(x, weight), exact(x, weight))
    smoothing = np.exp(rng.normal(size=k)).astype(np.float32)
    np.testing.assert_array_equal(product(x, weight, smoothing), exact(x, weight, smoothing))


@pytest.mark.parametrize("wild", [np.inf, -np.inf, np.nan])
def test_a_row_that_is_not_finite_stays_so_alone(isa: str, wild: float, rng: Random) -> None:
    """No integer stands for it: what it would hide, a session must see."""
    x, weight = rng.normal(size=(5, 200)).astype(np.float32), rng.normal(size=(50, 200)).astype(np.float32)
    before = product(x, weight)
    x[2, 17] = wild
    after = product(x, weight)
    assert not np.isfinite(after[2]).any()
    np.testing.assert_array_equal(after[[0, 1, 3, 4]], before[[0, 1, 3, 4]])


@pytest.mark.parametrize("sign", [1, -1])
def test_the_largest_sums_do_not_saturate(isa: str, sign: int) -> None:
    """Every product is 127 * 127 or -127 * 127, which pairs of 16-bit sums could not hold; the weights are constant."""
    x, weight = np.full((3, 3072), 2.5, np.float32), np.full((40, 3072), sign * 0.125, np.float32)
    got = product(x, weight)
    np.testing.assert_array_equal(got, exact(x, weight))
    np.testing.assert_allclose(got, sign * 2.5 * 0.125 * 3072, rtol=4 * np.finfo(np.float32).eps)


def test_each_row_has_a_scale_of_its_own(isa: str, rng: Random) -> None:
    """Outliers, zeros and next to nothing change their own rows only."""
    x, weight = rng.normal(size=(9, 200)).astype(np.float32), rng.normal(size=(50, 200)).astype(np.float32)
    before = product(x, weight)
    x[2, 17], x[4], x[6] = 1e6, 0.0, x[6] * np.float32(1e-38)
    after = product(x, weight)
    np.testing.assert_array_equal(after, exact(x, weight))
    np.testing.assert_array_equal(after[[0, 1, 3, 5, 7, 8]], before[[0, 1, 3, 5, 7, 8]])
    assert (after[[4, 6]] == 0).all()


@pytest.mark.parametrize("outlier", [300.0, -300.0, 1e30, -1e30])
@pytest.mark.parametrize("column", [0, 66, 199])
def test_an_outlier_leaves_the_others_their_integers(isa: str, column: int, outlier: float, rng: Random) -> None:
    """Its product is whole numbers too, and without it the row is what it was, as long as a thousandth of it is less."""
    x, weight = rng.normal(size=(15, 200)).astype(np.float32), rng.normal(size=(70, 200)).astype(np.float32)
    x[:, column] = 0
    before = product(x, weight)
    x[3, column] = x[14, column] = outlier
    after = product(x, weight)
    np.testing.assert_array_equal(after, exact(x, weight))
    np.testing.assert_array_equal(np.delete(after, [3, 14], axis=0), np.delete(before, [3, 14], axis=0))
    if abs(outlier) < 1e3:
        q, scale = reference_int8.quantize(weight)
        step = 8 / 255  # of a row of two hundred normal numbers
        alone = after[[3, 14]] - outlier * (q * scale[:, None])[:, column]
        # The outlier is off by half a step as well.
        np.testing.assert_allclose(alone, before[[3, 14]], atol=step / 2 * np.abs(weight).max() + 300 * 70 * 2**-23)


def test_rows_of_one_outlier_or_of_two_alike(isa: str, rng: Random) -> None:
    weight = rng.normal(size=(40, 96)).astype(np.float32)
    x = np.zeros((6, 96), np.float32)
    x[0, 5], x[1, 95], x[2, [7, 8]], x[3, [7, 8]], x[4, [0, 95]] = 3, -3, 3, (3, -3), -3
    got = product(x, weight)
    np.testing.assert_array_equal(got, exact(x, weight))
    # A weight is off by half of 1/127 of its row's largest, an activation by half of 1/255 of its own.
    bound = (0.5 / 127 + 0.5 / 255) * np.abs(x).sum(1)[:, None] * np.abs(weight).max(1)
    assert (np.abs(got - x @ weight.T) <= bound * 1.01).all()


def test_gated_products_add_the_outliers_of_both_halves(
    isa: str, random_layer: Callable[..., Any], rng: Random
) -> None:
    options = {**OPTIONS, "pre_norm": False}
    weights = random_layer(96, 3, 3, 32, 160, gated=True)
    weights["attention.norm.bias"][11] += 200  # what the gate and up read
    for name in ("mlp.gate", "mlp.up"):
        weights[f"{name}.weight"][:, 11] /= 200
    hidden = rng.normal(size=(50, 96)).astype(np.float32)
    want = reference_layer.encoder_layer(hidden, [0, 50], weights, **options)
    got = native.EncoderLayer(weights, precision="int8", **options)(hidden, [0, 50])
    cosine = (reference.normalize(got) * reference.normalize(want)).sum(-1)
    assert cosine.min() > 0.999


def test_a_column_of_zeros_gives_its_bias(isa: str, rng: Random) -> None:
    weight, bias = rng.normal(size=(33, 64)).astype(np.float32), rng.normal(size=33).astype(np.float32)
    weight[7] = 0
    got = native.dense(rng.normal(size=(5, 64)), weight, bias, activation="identity", precision="int8")
    np.testing.assert_array_equal(got[:, 7], np.full(5, bias[7]))


@pytest.mark.parametrize(
    "kept", [("qkv",), ("output",), ("up",), ("down",), ("qkv", "up"), ("output", "down")], ids="+".join
)
def test_products_that_stay_bf16_are_closer(
    isa: str, kept: tuple[str, ...], random_layer: Callable[..., Any], rng: Random
) -> None:
    weights = random_layer(96, 3, 3, 32, 160)
    cu_seqlens = [0, 1, 40, 200]
    hidden = rng.normal(size=(200, 96)).astype(np.float32)
    want = reference_layer.encoder_layer(hidden, cu_seqlens, weights, **OPTIONS)

    def error(**how: Any) -> float:
        got = native.EncoderLayer(weights, **how, **OPTIONS)(hidden, cu_seqlens)
        return float(np.sqrt(np.mean((got - want) ** 2)))

    assert error(precision="bf16") < error(precision="int8", keep_bf16=kept) < error(precision="int8")


@pytest.mark.parametrize("pre_norm", [False, True])
@pytest.mark.parametrize("gated", [False, True])
@pytest.mark.parametrize("kept", [(), ("qkv",), ("output",), ("up",), ("down",)], ids="+".join)
def test_smoothing_takes_outliers_out_of_the_rows(
    isa: str, kept: tuple[str, ...], gated: bool, pre_norm: bool, random_layer: Callable[..., Any],
    plainly: Callable[..., Any], rng: Random,
) -> None:  # fmt: skip
    """As close as the plainest arithmetic with smoothing, and closer than without; its sizes are no multiples of 32."""
    options = {**OPTIONS, "head_size": 26, "pre_norm": pre_norm}
    weights = random_layer(78, 3, 3, 26, 150, gated=gated)
    hidden = rng.normal(size=(133, 78)).astype(np.float32)
    cu_seqlens = [0, 1, 18, 133]
    # Outliers in two channels of every product's input, which the product's weights undo: of the norms, of v (which gives
    # attention's output), of what feeds down.
    smoothing, with_slots = {}, []
    for name, slots in native.PRODUCT_SLOTS.items():
        smoothing[name] = np.ones(weights[f"{slots[-1]}.weight"].shape[1])
        smoothing[name][[3, 40]] = 30
        for weight in (weights[f"{slot}.weight"] for slot in slots if f"{slot}.weight" in weights):
            weight /= smoothing[name]
            if name not in kept:
                with_slots.append((weight, smoothing[name]))
    for slot in ("attention.norm", "mlp.norm", "attention.v", "mlp.up"):
        for part in ("weight", "bias"):
            weights[f"{slot}.{part}"][[3, 40]] *= 30
    if not pre_norm:
        hidden[:, [3, 40]] *= 30
    want = reference_layer.encoder_layer(hidden, cu_seqlens, weights, **options)

    def error(got: Any) -> float:
        return float(np.sqrt(np.mean((got - want) ** 2)))

    def layer(**how: Any) -> float:
        return error(
            native.EncoderLayer(weights, precision="int8", keep_bf16=kept, **how, **options)(hidden, cu_seqlens)
        )

    plain = error(
        plainly("int8", reference_layer.encoder_layer, hidden, cu_seqlens, weights, smoothing=with_slots, **options)
    )
    assert layer(smoothing=smoothing) <= 2 * plain
    assert layer(smoothing=smoothing) < layer()


@pytest.mark.parametrize(("out", "size"), [(1, 1), (33, 31), (96, 320)])
def test_a_panel_ends_with_its_scales_and_corrections(out: int, size: int, rng: Random) -> None:
    weight = rng.normal(size=(out, size)).astype(np.float32)
    q, scale = reference_int8.quantize(weight)
    packed, lines = layout.pack_int8(weight), -(-size // 64)
    assert packed.shape == (layout.padded(out) // 32, lines * 2048 + 256)
    for column in range(out):
        panel = packed[column // 32]
        values = panel[:-256].reshape(lines * 16, 32, 4)[:, column % 32].reshape(-1)
        np.testing.assert_array_equal(values[:size], q[column])
        assert (values[size:] == 0).all()
        assert panel[-256:-128].view(np.float32)[column % 32] == scale[column]
        assert panel[-128:].view(np.int32)[column % 32] == 128 * q[column].sum()
