"""Page-locked memory and copies of CUDA's own: ONNX Runtime lends neither to Python for the providers of its GPU wheel."""

import ctypes
import math
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from strizh.runtime.cuda import driver
from strizh.runtime.errors import DeviceError


class CudaMemory:
    """In the context of the first GPU that CUDA's runtime uses, and with it ONNX Runtime and PyTorch."""

    def __init__(self) -> None:
        library = driver()
        if library is None:
            raise DeviceError("memory of a GPU needs an NVIDIA driver, and libcuda is not here. Install the driver")
        self._library, self._context = library, ctypes.c_void_p()
        self._call("cuInit", 0)
        self._call("cuDevicePrimaryCtxRetain", ctypes.byref(self._context), 0)  # and kept as long as the process

    def array(self, shape: tuple[int, ...], dtype: Any) -> NDArray[Any]:
        """A page-locked array of the host, which nobody has written to yet."""
        count, address = math.prod(shape), ctypes.c_void_p()
        size = max(1, count * np.dtype(dtype).itemsize)
        with self._current():
            self._call("cuMemHostAlloc", ctypes.byref(address), ctypes.c_size_t(size), 0)
        assert address.value is not None
        memory = (ctypes.c_byte * size).from_address(address.value)
        weakref.finalize(memory, self._free, address).atexit = False
        return np.frombuffer(memory, dtype, count).reshape(shape)

    def copy(self, target: int, source: int, size: int) -> None:
        """Copy `size` bytes between addresses, each of the host or of the GPU; it is done on return."""
        sides = (ctypes.c_uint64(side) for side in (target, source))
        with self._current():
            self._call("cuMemcpy", *sides, ctypes.c_size_t(size))
            self._call(
                "cuStreamSynchronize", None
            )  # from memory that is not page-locked, or on the GPU, it goes on alone

    def _free(self, address: ctypes.c_void_p) -> None:
        with self._current():
            self._library.cuMemFreeHost(address)

    @contextmanager
    def _current(self) -> Iterator[None]:
        """Others' choice of a GPU for this thread is theirs again afterwards."""
        self._call("cuCtxPushCurrent_v2", self._context)
        try:
            yield
        finally:
            self._library.cuCtxPopCurrent_v2(None)

    def _call(self, name: str, *arguments: Any) -> None:
        if status := getattr(self._library, name)(*arguments):
            reason = ctypes.c_char_p()
            self._library.cuGetErrorString(status, ctypes.byref(reason))
            said = (reason.value or b"no reason given").decode()
            raise DeviceError(f"{name} of CUDA's driver failed: {said}. See `strizh doctor`")
