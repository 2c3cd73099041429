"""strizh.kernels: the packed encoder operators, one shared library with a C interface.

ONNX Runtime registers the library by its path; nothing here imports numpy or onnxruntime.
"""

from pathlib import Path

_NAMES = ("libstrizh_cpu.so", "libstrizh_cpu.dylib", "strizh_cpu.dll")


def library_path() -> Path | None:
    """Path of the CPU operator library, or None where strizh was installed without a C++ compiler."""
    folder = Path(__file__).parent
    return next((folder / name for name in _NAMES if (folder / name).is_file()), None)
