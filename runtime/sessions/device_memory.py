"""Memory for one execution provider: buffers on its device, and memory of the host that it copies from and to by itself.

The latter is page-locked where ONNX Runtime gives it out, else plain. Nobody has written anything into either yet.
"""

import math
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from strizh.runtime.cuda import PROVIDER
from strizh.runtime.sessions.buckets import round_up
from strizh.runtime.tensorrt import CLASSIC, RTX

_ON_CUDA = (PROVIDER, CLASSIC)  # of ONNX Runtime's GPU wheel, whose providers share CUDA's memory


class DeviceMemory:
    """Buffers and arrays for the sessions of one provider. One that has no GPU has its buffers on the host."""

    def __init__(self, provider: str) -> None:
        self.device = "cuda" if provider in _ON_CUDA else "cpu"  # as a binding names it that is given an address
        self._plugged_in = _of_plug_in(RTX, "DEFAULT") if provider == RTX else None
        lenders = (provider, PROVIDER) if provider == CLASSIC else (provider,)
        places = (_of_plug_in(lender, "HOST_ACCESSIBLE") for lender in lenders)
        self._page_locked = next((place for place in places if place is not None), None)
        self._kept: dict[str, NDArray[Any]] = {}

    def buffer(self, shape: tuple[int, ...], dtype: Any) -> onnxruntime.OrtValue:
        """A buffer of its own, on the device."""
        allocate = onnxruntime.OrtValue.ortvalue_from_shape_and_type
        if self._plugged_in is not None:
            return allocate(shape, dtype, memory_info=self._plugged_in)
        return allocate(shape, dtype, self.device, 0)

    def array(self, shape: tuple[int, ...], dtype: Any) -> NDArray[Any]:
        """An array of its own, on the host."""
        if self._page_locked is None:
            return np.empty(shape, dtype)
        return np.asarray(_Lent(shape, np.dtype(dtype), self._page_locked))

    def room(self, use: str, shape: tuple[int, ...], dtype: Any) -> NDArray[Any]:
        """An array in memory of the host that is kept for this use, of one dtype: valid until the next one is asked for."""
        count = math.prod(shape)
        if use not in self._kept or self._kept[use].size < count:
            self._kept[use] = self.array((round_up(count),), dtype)
        return self._kept[use][:count].reshape(shape)


class _Lent:
    """What makes NumPy read an OrtValue's memory, and keep it as long as it does."""

    def __init__(self, shape: tuple[int, ...], dtype: np.dtype[Any], place: Any) -> None:
        self._value = onnxruntime.OrtValue.ortvalue_from_shape_and_type(shape, dtype.type, memory_info=place)
        address = (self._value.data_ptr(), False)
        self.__array_interface__ = {"data": address, "shape": shape, "typestr": dtype.str, "version": 3}


def _of_plug_in(provider: str, kind: str) -> Any:
    """Memory of a provider that ONNX Runtime can ask for it; None where it has none, or this ONNX Runtime tells of none."""
    kinds = getattr(onnxruntime, "OrtDeviceMemoryType", None)
    if kinds is None:
        return None
    devices = (device for device in onnxruntime.get_ep_devices() if device.ep_name == provider)
    return next((device.memory_info(getattr(kinds, kind)) for device in devices), None)
