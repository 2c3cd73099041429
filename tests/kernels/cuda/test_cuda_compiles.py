"""The CUDA sources compile for Ampere and Hopper, where nvcc is there to ask."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from strizh import kernels

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


@pytest.mark.skipif(NVCC is None, reason="nvcc is not installed, so the CUDA sources are not compiled")
def test_cuda_library_knows_its_architectures(
    tmp_path: Path, emulated_library: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one function that says so, in a library that is nothing else."""
    source, built = tmp_path / "architectures.cu", tmp_path / "architectures.so"
    text = (SOURCES / "api.cu").read_text(encoding="utf-8")
    start = text.index("#define STRIZH_TEXT_OF")
    source.write_text(text[start : text.index("}\n", start) + 2], encoding="utf-8")
    targets = [f"-gencode=arch=compute_{arch},code=sm_{arch}" for arch in (80, 90)]
    subprocess.run([str(NVCC), "-shared", "-Xcompiler", "-fPIC", *targets, str(source), "-o", str(built)], check=True)
    monkeypatch.setattr("strizh.kernels.library.cuda_library_path", lambda: built)
    assert kernels.cuda_capabilities() == ("8.0", "9.0")
    monkeypatch.setattr("strizh.kernels.library.cuda_library_path", lambda: emulated_library)
    assert kernels.cuda_capabilities() == ()
