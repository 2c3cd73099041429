"""strizh.kernels: the packed encoder operators, one shared library with a C interface.

ONNX Runtime registers the library by its path; nothing here imports numpy or onnxruntime.
"""

from strizh.kernels.library import (
    cuda_capabilities,
    cuda_library_path,
    instruction_set,
    instruction_sets,
    library_path,
    set_threads,
    threads,
)

__all__ = [
    "cuda_capabilities",
    "cuda_library_path",
    "instruction_set",
    "instruction_sets",
    "library_path",
    "set_threads",
    "threads",
]
