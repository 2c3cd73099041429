"""What the codes of int8 products say of their weights, slot by slot."""

import numpy as np

from strizh.export.quantize.dequantized import Dequantized
from strizh.export.quantize.rounding import columns
from strizh.export.quantize.site import OwnRange, Site

HIDDEN, QUERIES, KEYS = 24, 32, 8
SLOTS = {"q": QUERIES, "k": KEYS, "v": KEYS, "o": HIDDEN}


def test_weights_are_their_codes_without_the_smoothing_and_nothing_is_kept() -> None:
    rng = np.random.default_rng(3)
    weights = {f"layers.0.attention.{side}.weight": rng.normal(size=(out, HIDDEN)) for side, out in SLOTS.items()}
    weights |= {"layers.0.attention.q.bias": rng.normal(size=QUERIES)}
    joined = np.concatenate([weights[f"layers.0.attention.{side}.weight"] for side in "qkv"]).T.astype(np.float32)
    smoothing = np.exp(rng.normal(size=HIDDEN)).astype(np.float32)
    name = "layers.0.attention.qkv"
    rounded = {f"{name}.weight": columns(joined * smoothing[:, None])}
    site = Site(name, (f"{name}.weight",), joined.size, OwnRange(), smoothing, rounded)
    found = Dequantized(weights, [site])

    assert list(found) == list(weights)
    assert len(found) == len(weights)
    assert "layers.0.attention.q.bias" in found
    assert "layers.0.attention.k.bias" not in found
    for slot in ("layers.0.attention.o.weight", "layers.0.attention.q.bias"):
        assert found[slot] is weights[slot]
    codes, scale = rounded[f"{name}.weight"]
    parts = [found[f"layers.0.attention.{side}.weight"] for side in "qkv"]
    assert [len(part) for part in parts] == [QUERIES, KEYS, KEYS]
    np.testing.assert_array_equal(np.concatenate(parts), (codes * scale / smoothing[:, None]).T)
    # Half a step of a column's scale, in each input's own units.
    assert (np.abs(np.concatenate(parts) - joined.T) <= 0.5001 * scale[:, None] / smoothing).all()
    assert found["layers.0.attention.q.weight"] is not found["layers.0.attention.q.weight"]
