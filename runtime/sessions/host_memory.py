"""Memory of the host that a GPU copies from and to by itself: page-locked where ONNX Runtime gives it out, else plain."""

import math
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from strizh.runtime.sessions.buckets import round_up


class HostMemory:
    """Arrays for the copies of one execution provider. Nobody has written their numbers yet."""

    def __init__(self, provider: str) -> None:
        self._place = _page_locked(provider)
        self._kept: dict[str, NDArray[Any]] = {}

    def array(self, shape: tuple[int, ...], dtype: Any) -> NDArray[Any]:
        """An array of its own."""
        if self._place is None:
            return np.empty(shape, dtype)
        return np.asarray(_Lent(shape, np.dtype(dtype), self._place))

    def room(self, use: str, shape: tuple[int, ...], dtype: Any) -> NDArray[Any]:
        """An array in memory that is kept for this use, of one dtype: valid until the next one is asked for."""
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


def _page_locked(provider: str) -> Any:
    """The provider's memory of the host; None where it has none, or this ONNX Runtime tells of none."""
    kinds = getattr(onnxruntime, "OrtDeviceMemoryType", None)
    if kinds is None:
        return None
    devices = (device for device in onnxruntime.get_ep_devices() if device.ep_name == provider)
    return next((device.memory_info(kinds.HOST_ACCESSIBLE) for device in devices), None)
