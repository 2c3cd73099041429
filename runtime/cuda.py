"""Whether CUDA can be used here, asked of the system and not of ONNX Runtime, which is silent about it."""

import contextlib
import ctypes
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

PROVIDER = "CUDAExecutionProvider"
# The CUDA that a GPU wheel of ONNX Runtime is built for, from its version on; drivers run what is older than they are.
_BUILT_FOR = {(1, 31): 13000, (1, 18): 12000}
_IN_ITS_PLACE = "Run: pip uninstall -y onnxruntime onnxruntime-gpu && pip install onnxruntime-gpu"
_MAJOR, _MINOR = 75, 76  # of the compute capability: cuDeviceGetAttribute's numbers of them
NO_DRIVER = "needs an NVIDIA driver, and libcuda is not here: install the driver, or pass the GPU on to the container"


@dataclass(frozen=True, slots=True)
class Gpu:
    """The first GPU: its model, its compute capability, "9.0", and the newest CUDA that its driver runs, 13000 for 13.0."""

    name: str
    capability: str
    driver: int


def problem(providers: Sequence[str], versions: Mapping[str, str], gpu: Gpu | None) -> str:
    """Why CUDA variants cannot run, with its cure, to follow their name; empty where they can.

    `providers` are ONNX Runtime's, `versions` those of the installed packages.
    """
    if PROVIDER not in providers:
        if "onnxruntime-gpu" in versions:
            return f"needs {PROVIDER}, but the CPU wheel onnxruntime lies over onnxruntime-gpu. {_IN_ITS_PLACE}"
        return f"needs {PROVIDER}, which this ONNX Runtime does not offer"
    needed = _needed(versions.get("onnxruntime-gpu", ""))
    if gpu is None:
        return NO_DRIVER
    if gpu.driver < needed:
        return f"needs a driver for CUDA {dotted(needed)}, this one is for {dotted(gpu.driver)}: update the driver"
    return ""


def _needed(wheel: str) -> int:
    numbers = tuple(int(part) for part in wheel.split(".")[:2] if part.isdigit())
    return next((needed for since, needed in _BUILT_FOR.items() if numbers >= since), 0)


def dotted(version: int) -> str:
    """13000 as people write it: 13.0."""
    return f"{version // 1000}.{version % 1000 // 10}"


def driver() -> ctypes.CDLL | None:
    """The library of NVIDIA's driver; None where there is none."""
    for library in ("libcuda.so.1", "nvcuda.dll"):
        with contextlib.suppress(OSError):
            return ctypes.CDLL(library)
    return None


def find_gpu() -> Gpu | None:
    """The GPU that CUDA counts first; None without a driver or a GPU."""
    library = driver()
    if library is None:
        return None
    version, major, minor = ctypes.c_int(), ctypes.c_int(), ctypes.c_int()
    name = ctypes.create_string_buffer(256)
    failed = (
        library.cuInit(0)
        or library.cuDriverGetVersion(ctypes.byref(version))
        or library.cuDeviceGetName(name, len(name), 0)
        or library.cuDeviceGetAttribute(ctypes.byref(major), _MAJOR, 0)
        or library.cuDeviceGetAttribute(ctypes.byref(minor), _MINOR, 0)
    )
    if failed:
        return None
    return Gpu(name.value.decode(errors="replace"), f"{major.value}.{minor.value}", version.value)
