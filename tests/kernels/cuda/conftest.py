"""The CUDA kernels on emulated threads: the same sources, compiled for the CPU."""

import shutil
import subprocess
from pathlib import Path

import pytest

from strizh.kernels.native_cuda import CudaKernels

SOURCES = Path(__file__).parents[3] / "kernels/cuda"


@pytest.fixture(scope="session")
def emulated_library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The library built with g++; its pointers are the host's, and ONNX Runtime's CPU provider runs its operators."""
    compiler = shutil.which("g++")
    if compiler is None:
        pytest.skip("g++ is not installed, and it emulates the CUDA kernels")
    library = tmp_path_factory.mktemp("cuda") / "libstrizh_cuda_emulated.so"
    files = [*sorted(SOURCES.glob("*.cu")), SOURCES / "emulated/device.cpp", SOURCES.parent / "cpu/ort_node.cpp"]
    flags = [
        "-std=c++17",
        "-O1",
        "-g",
        "-fPIC",
        "-shared",
        "-DSTRIZH_EMULATED",
        "-Wno-unknown-pragmas",
        "-Wno-format-truncation",
    ]
    command = [compiler, *flags, "-x", "c++", *map(str, files), "-o", str(library)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return library


@pytest.fixture(scope="session")
def emulated(emulated_library: Path) -> CudaKernels:
    """Its C interface."""
    return CudaKernels(emulated_library)
