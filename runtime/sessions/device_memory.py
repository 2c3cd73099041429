"""Memory for one execution provider: buffers on its device, arrays on the host that it copies from and to by itself.

The latter are page-locked for a GPU, and plain memory otherwise. Nobody has written anything into either yet.
"""

import ctypes
import math
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from strizh.runtime.cuda import PROVIDER
from strizh.runtime.sessions.buckets import round_up
from strizh.runtime.sessions.cuda_memory import Move, cuda_memory
from strizh.runtime.tensorrt import CLASSIC, RTX

_ON_CUDA = (PROVIDER, CLASSIC, RTX)


class DeviceMemory:
    """Buffers and arrays for the sessions of one provider. One that has no GPU has its buffers on the host."""

    def __init__(self, provider: str) -> None:
        self._cuda = cuda_memory() if provider in _ON_CUDA else None
        self.device = "cuda" if self._cuda else "cpu"  # as a binding names it that is given an address
        self._plugged_in = _of_plug_in(provider) if provider == RTX else None
        self._kept: dict[str, NDArray[Any]] = {}

    def buffer(self, shape: tuple[int, ...], dtype: Any) -> onnxruntime.OrtValue:
        """A buffer of its own, on the device."""
        allocate = onnxruntime.OrtValue.ortvalue_from_shape_and_type
        if self._plugged_in is not None:
            return allocate(shape, dtype, memory_info=self._plugged_in)
        return allocate(shape, dtype, self.device, 0)

    def array(self, shape: tuple[int, ...], dtype: Any) -> NDArray[Any]:
        """An array of its own, on the host."""
        return np.empty(shape, dtype) if self._cuda is None else self._cuda.array(shape, dtype)

    def room(self, use: str, shape: tuple[int, ...], dtype: Any) -> NDArray[Any]:
        """An array of the host that is kept for this use, of one dtype: valid until the next one is asked for."""
        count = math.prod(shape)
        if use not in self._kept or self._kept[use].size < count:
            self._kept[use] = self.array((round_up(count),), dtype)
        return self._kept[use][:count].reshape(shape)

    def put(self, *pairs: tuple[NDArray[Any], onnxruntime.OrtValue]) -> None:
        """Copy contiguous arrays to the starts of buffers; they have been copied on return."""
        self.copy(*((value.data_ptr(), array.ctypes.data, array.nbytes) for array, value in pairs))

    def get(self, use: str, shape: tuple[int, ...], value: onnxruntime.OrtValue) -> NDArray[np.float32]:
        """The start of a buffer of float32, in the `room` for this use."""
        found = self.room(use, shape, np.float32)
        self.copy((found.ctypes.data, value.data_ptr(), found.nbytes))
        return found

    def copy(self, *moves: Move) -> None:
        """Copy between addresses of the host or the device; all is done on return."""
        real = [move for move in moves if move[2]]
        if self._cuda is not None:
            self._cuda.copy(real)
            return
        for move in real:
            ctypes.memmove(*move)


def _of_plug_in(provider: str) -> Any:
    """The device's memory of a plug-in, which ONNX Runtime must be told of; None where it has none."""
    kinds = getattr(onnxruntime, "OrtDeviceMemoryType", None)
    devices = (device for device in onnxruntime.get_ep_devices() if device.ep_name == provider)
    return None if kinds is None else next((device.memory_info(kinds.DEFAULT) for device in devices), None)
