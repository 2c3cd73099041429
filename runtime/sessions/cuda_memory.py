"""Page-locked memory and copies of CUDA's own: ONNX Runtime lends neither to Python for the providers of its GPU wheel."""

import ctypes
import math
import weakref
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from strizh.runtime.cuda import driver
from strizh.runtime.errors import DeviceError

Move = tuple[int, int, int]  # to an address, from an address, bytes
_NON_BLOCKING = 1


class CudaMemory:
    """In the context of the first GPU that CUDA's runtime uses, and with it ONNX Runtime and PyTorch."""

    def __init__(self) -> None:
        library = driver()
        if library is None:
            raise DeviceError("memory of a GPU needs an NVIDIA driver, and libcuda is not here. Install the driver")
        self._library, self._context, self._stream = library, ctypes.c_void_p(), ctypes.c_void_p()
        self._unused: deque[ctypes.c_void_p] = deque()
        self._call("cuInit", 0)
        self._call("cuDevicePrimaryCtxRetain", ctypes.byref(self._context), 0)  # and kept as long as the process
        with self._current():  # a stream that waits for nobody else's work, as the default one would for PyTorch's
            self._call("cuStreamCreate", ctypes.byref(self._stream), _NON_BLOCKING)

    def array(self, shape: tuple[int, ...], dtype: Any) -> NDArray[Any]:
        """A page-locked array of the host, which nobody has written to yet.

        Arrays that nobody has any more are given back here, not where the last one drops them: CUDA may be at a capture then.
        """
        count, address = math.prod(shape), ctypes.c_void_p()
        size = max(1, count * np.dtype(dtype).itemsize)
        with self._current():
            while self._unused:
                self._call("cuMemFreeHost", self._unused.popleft())
            self._call("cuMemHostAlloc", ctypes.byref(address), ctypes.c_size_t(size), 0)
        assert address.value is not None
        memory = (ctypes.c_byte * size).from_address(address.value)
        weakref.finalize(memory, self._unused.append, address).atexit = False
        return np.frombuffer(memory, dtype, count).reshape(shape)

    def copy(self, moves: Iterable[Move]) -> None:
        """Copy between addresses, each of the host or of the GPU; all is done on return."""
        with self._current():
            for target, source, size in moves:
                sides = ctypes.c_uint64(target), ctypes.c_uint64(source)
                self._call("cuMemcpyAsync", *sides, ctypes.c_size_t(size), self._stream)
            self._call("cuStreamSynchronize", self._stream)

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


@cache
def cuda_memory() -> CudaMemory:
    """The one of this process: its context and stream, which nobody gives back, serve all sessions."""
    return CudaMemory()
