"""What the figures of a GPU depend on beside it: driver, compiler and packages."""

import re
import shutil
import subprocess
from importlib import metadata

from strizh.runtime.cuda import dotted, find_gpu

_PACKAGES = (
    "torch",
    "triton",
    "onnxruntime-gpu",
    "onnxruntime",
    "tensorrt",
    "tensorrt-rtx",
    "flash-attn",
    "numpy",
    "onnx",
)


def driver() -> str | None:
    """NVIDIA's driver and the newest CUDA that it runs, "580.95.05 for CUDA 13.0"; None without a GPU."""
    gpu = find_gpu()
    own = _said("nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader").partition("\n")[0].strip()
    return f"{own or 'a driver'} for CUDA {dotted(gpu.driver)}" if gpu else None


def versions() -> dict[str, str]:
    """By name, of what is there: the packages, the CUDA that PyTorch was built for, and nvcc."""
    import torch

    found = {"cuda of torch": torch.version.cuda or ""}
    for name in _PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    release = re.search(
        r"release [\d.]+, V([\d.]+)", _said(shutil.which("nvcc") or "/usr/local/cuda/bin/nvcc", "--version")
    )
    return {name: version for name, version in (found | {"nvcc": release[1] if release else ""}).items() if version}


def _said(*command: str) -> str:
    """What a program prints; nothing where it is missing or fails."""
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=30).stdout
    except (OSError, subprocess.SubprocessError):
        return ""
