"""Where vectors are handed out: on the host as NumPy, or where they were computed, through DLPack and without a copy."""

import importlib
from typing import Any, Literal, get_args

import onnxruntime

from strizh.runtime.errors import UsageError
from strizh.runtime.sessions.captures import CAPTURES
from strizh.runtime.vectors import Float32

Placement = Literal["numpy", "dlpack", "torch"]


class DeviceVectors:
    """float32 [n, dim] in a session's memory, for any library that reads DLPack: `torch.from_dlpack(vectors)`."""

    def __init__(self, value: onnxruntime.OrtValue) -> None:
        self._value = value

    @property
    def shape(self) -> tuple[int, ...]:
        """(texts, dim)."""
        return tuple(self._value.shape())

    def numpy(self) -> Float32:
        """The vectors on the host."""
        with CAPTURES.none():
            found: Float32 = self._value.numpy()
        return found

    def __dlpack__(
        self,
        *,
        stream: Any = None,
        max_version: tuple[int, int] | None = None,
        dl_device: tuple[int, int] | None = None,
        copy: bool | None = None,
    ) -> Any:
        if copy or (dl_device is not None and tuple(dl_device) != self.__dlpack_device__()):
            raise BufferError("these vectors are handed out where they are, without a copy. Copy or move what you took")
        return self._value._ortvalue.__dlpack__(stream)

    def __dlpack_device__(self) -> tuple[int, int]:
        device: tuple[int, int] = self._value._ortvalue.__dlpack_device__()
        return device


def check_placement(output: str) -> None:
    """`UsageError` for what `encode` cannot hand out, PyTorch's tensors where it is not installed among it."""
    if output not in get_args(Placement):
        raise UsageError(f"output is {output!r}, expected one of {', '.join(get_args(Placement))}")
    if output == "torch":
        _torch()


def hand_out(vectors: Any, output: str) -> Any:
    """The same memory as a `torch.Tensor`, or as it is: NumPy arrays and `DeviceVectors` both speak DLPack."""
    return _torch().from_dlpack(vectors) if output == "torch" else vectors


def _torch() -> Any:
    try:
        return importlib.import_module("torch")
    except ImportError:
        raise UsageError(
            "output='torch' needs PyTorch, which is not installed. Install it, or use output='dlpack'"
        ) from None
