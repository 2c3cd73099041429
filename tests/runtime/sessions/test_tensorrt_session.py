"""A TensorRT variant opened with a provider that its caller names: here the CPU's, which has every operator in float16."""

from pathlib import Path

import numpy as np
import pytest

import strizh
from strizh.export import export_model
from strizh.runtime.errors import DeviceError

TINY = Path(__file__).parents[2] / "data/rope-e5-tiny-ru"
TEXTS = ["Стриж спит на лету.", "A swift.", "", "Над рекой кружат стрижи, и вечер тёплый. " * 9]


def test_tensorrt_variant_runs_where_its_provider_is_named(tmp_path: Path) -> None:
    manifest = export_model(TINY, tmp_path / "bundle", variants=["portable-fp32", "tensorrt-fp16"])
    assert (
        manifest.parity["tensorrt-fp16"]["against"]
        == "portable-fp32; its graph was run in NumPy, as nothing here runs it"
    )
    with pytest.raises(DeviceError, match="variant tensorrt-fp16"):
        strizh.load(tmp_path / "bundle", variant="tensorrt-fp16")
    with strizh.load(tmp_path / "bundle") as encoder:
        assert encoder.variant == "portable-fp32" and "not tensorrt-fp16: it needs TensorRT" in encoder.explain()
        expected = encoder.encode(TEXTS)
    with strizh.load(tmp_path / "bundle", variant="tensorrt-fp16", providers=["CPUExecutionProvider"]) as encoder:
        found = encoder.encode(TEXTS)
    assert (found * expected).sum(1).min() > 0.9999
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-5)
