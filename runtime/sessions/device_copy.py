"""Copies within the memory of a device, which ONNX Runtime makes only as a part of a graph: this one is y = x."""

import numpy as np
import onnxruntime


def _field(number: int, content: bytes | int) -> bytes:
    """A field of a protocol buffer that is shorter than 128 bytes."""
    if isinstance(content, int):
        return bytes([number << 3, content])
    return bytes([number << 3 | 2, len(content)]) + content


_FLOATS = _field(2, _field(1, _field(1, 1)))  # tensors of any shape
_NODE = _field(1, b"x") + _field(2, b"y") + _field(4, b"Identity")
_ENDS = _field(11, _field(1, b"x") + _FLOATS) + _field(12, _field(1, b"y") + _FLOATS)
_GRAPH = _field(1, _NODE) + _field(2, b"copy") + _ENDS
_MODEL = _field(1, 8) + _field(7, _GRAPH) + _field(8, _field(2, 17))  # IR version, graph, opset


class DeviceCopy:
    """Copies of float32 on the device of one provider."""

    def __init__(self, provider: str, device: str) -> None:
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4
        options.intra_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(_MODEL, options, providers=[provider])
        self._device = device

    def __call__(self, source: int, target: int, shape: tuple[int, ...]) -> None:
        """Copy an array of this shape between two addresses; it is done on return."""
        binding = self._session.io_binding()
        binding.bind_input("x", self._device, 0, np.float32, shape, source)
        binding.bind_output("y", self._device, 0, np.float32, shape, target)
        self._session.run_with_iobinding(binding)
