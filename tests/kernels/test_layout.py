"""The packed layouts, by their definition: where element (column, k) lies."""

import numpy as np
import pytest

from strizh.kernels import layout

Random = np.random.Generator


@pytest.mark.parametrize(("out", "size"), [(1, 1), (32, 32), (33, 31), (96, 320)])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_every_element_lies_in_its_panel(out: int, size: int, precision: str, rng: Random) -> None:
    weight = rng.integers(-100, 100, (out, size)).astype(np.float32)  # exact in bf16
    packed = layout.pack_linear(weight, precision)
    values = packed if precision == "fp32" else (packed.astype(np.uint32) << 16).view(np.float32)
    group = layout.GROUP[precision]
    for _ in range(200):
        column, k = rng.integers(0, out), rng.integers(0, size)
        assert values[column // 32, k // group, column % 32, k % group] == weight[column, k]
    assert values.sum() == weight.sum()  # the rest is zeros
    assert packed.shape == (layout.padded(out) // 32, layout.padded(size) // group, 32, group)


@pytest.mark.parametrize(
    ("head_size", "rope_dim"), [(26, 26), (32, 0), (64, 64), (64, 32), (40, 20), (128, 128), (80, 80)]
)
def test_halves_of_a_rotated_pair_lie_half_a_width_apart(head_size: int, rope_dim: int) -> None:
    order, width = layout.head_order(head_size, rope_dim), layout.padded(head_size)
    assert len(set(order.tolist())) == head_size and order.max() < width
    pairs = order[: rope_dim // 2], order[rope_dim // 2 : rope_dim]
    np.testing.assert_array_equal(pairs[0], np.arange(rope_dim // 2))
    np.testing.assert_array_equal(pairs[1] - pairs[0], np.full(rope_dim // 2, width // 2))


def test_bf16_is_rounded_to_nearest_even(rng: Random) -> None:
    ml_dtypes = pytest.importorskip("ml_dtypes", reason="the rounding is compared with ml_dtypes'")
    x = np.concatenate([rng.normal(size=10000), [0.0, -0.0, 1.00390625, 1.01171875, 3e38, 1e-40]]).astype(np.float32)
    np.testing.assert_array_equal(layout.to_bf16(x), x.astype(ml_dtypes.bfloat16).view(np.uint16))


def test_gate_and_up_take_turns(rng: Random) -> None:
    gate, up = rng.normal(size=(40, 3)).astype(np.float32), rng.normal(size=(40, 3)).astype(np.float32)
    both = layout.interleave(gate, up).reshape(2, 2, 32, 3)
    np.testing.assert_array_equal(both[:, 0].reshape(64, 3)[:40], gate)
    np.testing.assert_array_equal(both[:, 1].reshape(64, 3)[:40], up)
