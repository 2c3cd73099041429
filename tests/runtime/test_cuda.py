"""Why CUDA cannot be used, and what to do."""

from typing import Any

import pytest

from strizh.runtime import cuda

CPU_ONLY = ("CPUExecutionProvider",)
BOTH = (cuda.PROVIDER, *CPU_ONLY)


@pytest.mark.parametrize(
    ("providers", "versions", "driver", "sentence"),
    [
        (CPU_ONLY, {}, None, "needs CUDAExecutionProvider, which this ONNX Runtime does not offer"),
        (
            CPU_ONLY,
            {"onnxruntime-gpu": "1.31.1"},
            13000,
            "the CPU wheel onnxruntime lies over onnxruntime-gpu. Run: pip",
        ),
        (BOTH, {"onnxruntime-gpu": "1.31.1"}, None, "needs an NVIDIA driver, and libcuda is not here: install"),
        (BOTH, {"onnxruntime-gpu": "1.31.1"}, 12040, "needs a driver for CUDA 13.0, this one is for 12.4: update"),
        (BOTH, {"onnxruntime-gpu": "1.23.0"}, 11080, "needs a driver for CUDA 12.0, this one is for 11.8: update"),
    ],
)
def test_cuda_problem_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch, providers: tuple[str, ...], versions: dict[str, str], driver: Any, sentence: str
) -> None:
    monkeypatch.setattr(cuda, "driver_version", lambda: driver)
    assert sentence in cuda.problem(providers, versions)


@pytest.mark.parametrize(("wheel", "driver"), [("1.31.1", 13000), ("1.31.1", 13020), ("1.23.0", 12040), ("", 11000)])
def test_cuda_has_no_problem_with_a_driver_that_is_new_enough(
    monkeypatch: pytest.MonkeyPatch, wheel: str, driver: int
) -> None:
    monkeypatch.setattr(cuda, "driver_version", lambda: driver)
    assert cuda.problem(BOTH, {"onnxruntime-gpu": wheel} if wheel else {}) == ""
