"""Why CUDA cannot be used, and what to do."""

from collections.abc import Callable

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
    providers: tuple[str, ...], versions: dict[str, str], driver: int | None, sentence: str
) -> None:
    gpu = driver and cuda.Gpu("NVIDIA H200", "9.0", driver)
    assert sentence in cuda.problem(providers, versions, gpu or None)


@pytest.mark.parametrize(("wheel", "driver"), [("1.31.1", 13000), ("1.31.1", 13020), ("1.23.0", 12040), ("", 11000)])
def test_cuda_has_no_problem_with_a_driver_that_is_new_enough(wheel: str, driver: int) -> None:
    gpu = cuda.Gpu("NVIDIA H200", "9.0", driver)
    assert cuda.problem(BOTH, {"onnxruntime-gpu": wheel} if wheel else {}, gpu) == ""


def test_cuda_gpu_is_asked_of_the_driver(fake_driver: Callable[..., object], monkeypatch: pytest.MonkeyPatch) -> None:
    """A driver of our own, with an H200 or with nothing."""
    assert cuda.find_gpu() is None or cuda.find_gpu().capability  # whatever this machine has

    monkeypatch.setattr(cuda.ctypes, "CDLL", lambda name: fake_driver())
    assert cuda.find_gpu() == cuda.Gpu("NVIDIA H200", "9.0", 13000)
    monkeypatch.setattr(cuda.ctypes, "CDLL", lambda name: fake_driver(status=100))  # CUDA_ERROR_NO_DEVICE
    assert cuda.find_gpu() is None
