"""Whether CUDA can be used here, asked of the system and not of ONNX Runtime, which is silent about it."""

import ctypes
from collections.abc import Mapping, Sequence

PROVIDER = "CUDAExecutionProvider"
# The CUDA that a GPU wheel of ONNX Runtime is built for, from its version on; drivers run what is older than they are.
_BUILT_FOR = {(1, 31): 13000, (1, 18): 12000}
_IN_ITS_PLACE = "Run: pip uninstall -y onnxruntime onnxruntime-gpu && pip install onnxruntime-gpu"


def problem(providers: Sequence[str], versions: Mapping[str, str]) -> str:
    """Why CUDA variants cannot run, with its cure, to follow their name; empty where they can.

    `providers` are ONNX Runtime's, `versions` those of the installed packages.
    """
    if PROVIDER not in providers:
        if "onnxruntime-gpu" in versions:
            return f"needs {PROVIDER}, but the CPU wheel onnxruntime lies over onnxruntime-gpu. {_IN_ITS_PLACE}"
        return f"needs {PROVIDER}, which this ONNX Runtime does not offer"
    needed, driver = _needed(versions.get("onnxruntime-gpu", "")), driver_version()
    if driver is None:
        return (
            "needs an NVIDIA driver, and libcuda is not here: install the driver, or pass the GPU on to the container"
        )
    if driver < needed:
        return f"needs a driver for CUDA {_dotted(needed)}, this one is for {_dotted(driver)}: update the driver"
    return ""


def _needed(wheel: str) -> int:
    numbers = tuple(int(part) for part in wheel.split(".")[:2] if part.isdigit())
    return next((needed for since, needed in _BUILT_FOR.items() if numbers >= since), 0)


def _dotted(version: int) -> str:
    return f"{version // 1000}.{version % 1000 // 10}"


def driver_version() -> int | None:
    """The newest CUDA that the driver runs, 13000 for 13.0; None without a driver or a GPU."""
    for name in ("libcuda.so.1", "nvcuda.dll"):
        try:
            driver = ctypes.CDLL(name)
        except OSError:
            continue
        version, devices = ctypes.c_int(), ctypes.c_int()
        failed = driver.cuInit(0) or driver.cuDriverGetVersion(ctypes.byref(version))
        if not failed and not driver.cuDeviceGetCount(ctypes.byref(devices)) and devices.value:
            return version.value
    return None
