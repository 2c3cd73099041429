"""A graph that is open in ONNX Runtime: a packed batch in, one row a text out."""

import threading
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from strizh.runtime.batching import PackedBatch
from strizh.runtime.errors import BundleError, DeviceError
from strizh.runtime.vectors import Float32


class Session:
    """Binds arrays to the graph's inputs and its one wanted output, so that a run copies nothing on a CPU.

    Thread-safe: runs take turns, so that one batch at a time is in memory. The subclasses say what a batch looks like
    to their graphs.
    """

    padded: ClassVar[bool]  # whether padding counts against the budget
    inputs: ClassVar[Mapping[str, str]]  # names and ONNX Runtime types
    enough: int | None = None  # tokens above which a batch is no quicker a token

    def __init__(self, session: onnxruntime.InferenceSession, *, variant: str, output: str, width: int) -> None:
        self._session = session
        self._variant = variant
        self._output = output
        self._width = width
        self._lock = threading.Lock()
        self._give_back = onnxruntime.RunOptions()
        self._give_back.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")

    def run(self, batch: PackedBatch, *, give_back: bool = False) -> Float32:
        """Output of the graph: float32 [batch, width]. Every text has at least one token.

        `give_back` returns the memory of this and earlier runs to the system. `BundleError` or `DeviceError` if
        the graph fails, or gives numbers that are not finite.
        """
        result = np.empty((len(batch), self._width), np.float32)
        with self._lock:
            binding = self._session.io_binding()
            try:
                for name, array in self._feed(batch).items():
                    binding.bind_input(name, "cpu", 0, array.dtype, array.shape, array.ctypes.data)
                binding.bind_output(self._output, "cpu", 0, np.float32, result.shape, result.ctypes.data)
                self._session.run_with_iobinding(binding, self._give_back if give_back else None)
            except Exception as error:  # ONNX Runtime's classes have no base of their own
                raise self._translate(error, batch) from None
        if not np.isfinite(result).all():
            raise BundleError(
                f"{self._variant} gave numbers that are not finite for {len(batch)} texts. "
                "Check the bundle with `strizh verify`, or load a float32 variant"
            )
        return result

    def _feed(self, batch: PackedBatch) -> dict[str, NDArray[Any]]:
        """The graph's inputs for this batch; valid until the next call."""
        raise NotImplementedError

    def _translate(self, error: Exception, batch: PackedBatch) -> Exception:
        size, line = f"{len(batch)} texts of {len(batch.input_ids)} tokens", one_line(error)
        if "alloc" in line.lower():
            return DeviceError(f"{self._variant}: not enough memory for {size}. Load with a smaller max_batch_tokens")
        return BundleError(f"{self._variant}: the graph failed on {size}: {line}. Check it with `strizh verify`")


def one_line(error: BaseException) -> str:
    """The message without its line breaks, cut to a readable length."""
    return " ".join(str(error).split())[:400]
