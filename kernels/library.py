"""The CPU library as a file and as a process-wide thing: where it lies, its threads, its instruction set."""

import ctypes
from collections.abc import Sequence
from functools import cache
from pathlib import Path

_NAMES = ("libstrizh_cpu.so", "libstrizh_cpu.dylib", "strizh_cpu.dll")
_CUDA_NAMES = ("libstrizh_cuda.so", "strizh_cuda.dll")


def library_path() -> Path | None:
    """Path of the CPU operator library, or None where strizh was installed without a C++ compiler."""
    return _find(_NAMES)


def cuda_library_path() -> Path | None:
    """Path of the CUDA operator library, or None where it was not asked for when strizh was installed."""
    return _find(_CUDA_NAMES)


def cuda_capabilities() -> tuple[str, ...]:
    """Compute capabilities that the CUDA library has machine code for, "9.0"; newer GPUs compile it when they load it.

    Raises OSError where the library does not load.
    """
    library = ctypes.CDLL(str(cuda_library_path()))
    library.strizh_cuda_architectures.restype = ctypes.c_char_p
    listed: bytes = library.strizh_cuda_architectures()
    return tuple(f"{int(number) // 100}.{int(number) // 10 % 10}" for number in listed.decode().split(",") if number)


def _find(names: Sequence[str]) -> Path | None:
    import strizh.kernels  # in an editable install its folders are two: the sources, and what was compiled

    places = (Path(folder) / name for folder in strizh.kernels.__path__ for name in names)
    return next((place for place in places if place.is_file()), None)


@cache
def load() -> ctypes.CDLL:
    """The library, loaded once a process. Raises FileNotFoundError where it was not built."""
    path = library_path()
    if path is None:
        raise FileNotFoundError("the CPU kernels were not built: install a C++ compiler, then strizh again")
    library = ctypes.CDLL(str(path))
    library.strizh_isa.restype = ctypes.c_char_p
    library.strizh_threads.restype = ctypes.c_int64
    return library


def set_threads(count: int | None) -> None:
    """Threads of the operator calls that follow, in the whole process; None is every processor it may use.

    The operators bring their own team of threads, so an ONNX Runtime session needs none of its own: create it with
    intra_op_num_threads = 1. The team sleeps 0.1 ms after its last call. Results do not depend on the count.
    """
    load().strizh_set_threads(ctypes.c_int64(count or 0))


def threads() -> int:
    """Threads that the next call uses, the caller included."""
    return int(load().strizh_threads())


def instruction_set() -> str:
    """The instruction set in use: the best that runs here, or what STRIZH_ISA names. Raises ValueError for a bad name."""
    error = ctypes.create_string_buffer(1024)
    name = load().strizh_isa(error, ctypes.c_int64(len(error)))
    if name is None:
        raise ValueError(error.value.decode())
    return str(name.decode())


def instruction_sets() -> tuple[str, ...]:
    """Instruction sets that this CPU and operating system run, best first."""
    names = ctypes.create_string_buffer(1024)
    load().strizh_isas(names, ctypes.c_int64(len(names)))
    return tuple(names.value.decode().split(", "))
