"""The wheels `onnxruntime` and `onnxruntime-gpu` write the same files, so that the one installed last wins in part."""

from importlib import metadata

CPU_WHEEL, GPU_WHEEL = "onnxruntime", "onnxruntime-gpu"
# strizh depends on the CPU wheel, so the GPU wheel comes after it and in its place.
TO_GPU = f"pip uninstall --yes {CPU_WHEEL} {GPU_WHEEL}; then: pip install --no-deps {GPU_WHEEL}"


def clash() -> str | None:
    """What is wrong and the two commands that put it right, where both wheels are installed; else None."""
    if not (_installed(CPU_WHEEL) and _installed(GPU_WHEEL)):
        return None
    return (
        f"{CPU_WHEEL} and {GPU_WHEEL} are both installed and overwrite each other's files. "
        f"Run: {TO_GPU} (or {CPU_WHEEL}, for a machine without CUDA)"
    )


def _installed(package: str) -> bool:
    try:
        metadata.version(package)
    except metadata.PackageNotFoundError:
        return False
    return True
