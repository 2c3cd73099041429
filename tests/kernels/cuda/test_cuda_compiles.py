"""The CUDA sources compile for Ampere and Hopper, where nvcc is there to ask."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

SOURCES = Path(__file__).parents[3] / "kernels/cuda"
NVCC = shutil.which("nvcc", path=os.pathsep.join([os.environ.get("PATH", ""), "/usr/local/cuda/bin"]))


@pytest.mark.slow
@pytest.mark.skipif(NVCC is None, reason="nvcc is not installed, so the CUDA sources are not compiled")
@pytest.mark.parametrize("source", sorted(SOURCES.glob("*.cu")), ids=lambda path: path.stem)
def test_cuda_source_compiles_for_ampere_and_hopper(source: Path, tmp_path: Path) -> None:
    targets = [f"-gencode=arch=compute_{arch},code=sm_{arch}" for arch in (80, 90)]
    flags = ["-std=c++17", "-Xptxas", "-O0", "-Xcompiler", "-fPIC", "-Werror", "all-warnings"]
    command = [str(NVCC), *flags, *targets, "-c", str(source), "-o", str(tmp_path / "object.o")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
