"""A graph that is open in ONNX Runtime: a packed batch in, one row a text out."""

import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from strizh.runtime.batching import PackedBatch, Rows
from strizh.runtime.errors import BundleError, DeviceError
from strizh.runtime.vectors import Float32


@dataclass(frozen=True, slots=True)
class Output:
    """One output of a graph: float32, of `width` columns, with a row for every text or for every token."""

    name: str
    width: int
    per_token: bool = False


class Session:
    """Binds arrays to the graph's inputs and the one output that is wanted, so that a run copies little on a CPU.

    Thread-safe: runs take turns, so that one batch at a time is in memory. The subclasses say what a batch looks like
    to their graphs.
    """

    padded: ClassVar[bool]  # whether padding counts against the budget
    inputs: ClassVar[Mapping[str, str]]  # names and ONNX Runtime types
    token_types: ClassVar[tuple[str, str]]  # the input that a classifier of pairs has besides
    token_axes: ClassVar[tuple[str, ...]]  # the leading axes of an output with a row for every token
    enough: int | None = None  # tokens above which a batch is no quicker a token

    def __init__(self, session: onnxruntime.InferenceSession, *, variant: str) -> None:
        self._session = session
        self._variant = variant
        self._typed = self._check_inputs()
        self._checked: set[Output] = set()
        self._lock = threading.Lock()
        self._usual: onnxruntime.RunOptions | None = None
        self._give_back = onnxruntime.RunOptions()
        self._give_back.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")

    def check_output(self, output: Output) -> None:
        """`BundleError` unless the graph has this output, in this shape."""
        if output in self._checked:
            return
        outputs = {node.name: (node.type, node.shape) for node in self._session.get_outputs()}
        kind, shape = outputs.get(output.name, ("", []))
        expected = [*self.token_axes, output.width] if output.per_token else ["batch", output.width]
        fits = len(shape) == len(expected) and (not isinstance(shape[-1], int) or shape[-1] == output.width)
        if kind != "tensor(float)" or not fits:
            raise BundleError(
                f"variant {self._variant} gives {sorted(outputs)}, expected {output.name} as float32 "
                f"[{', '.join(map(str, expected))}], found {kind or 'none'} {shape}. Export the bundle again"
            )
        self._checked.add(output)

    def run(self, batch: PackedBatch, output: Output, *, give_back: bool = False) -> Float32:
        """One output of the graph: float32 [batch, width], or [total_tokens, width] where it has a row a token.

        Every text has at least one token. `give_back` returns the memory of this and earlier runs to the system.
        `BundleError` or `DeviceError` if the graph fails, or gives numbers that are not finite.
        """
        return self._run(batch, output, None, give_back)

    def run_each(
        self, texts: PackedBatch, batches: Sequence[Rows], output: Output, *, give_back: bool = False
    ) -> Iterator[Float32]:
        """What `run` gives for each batch of rows of `texts`, one after another; `give_back` is for the last."""
        for number, rows in enumerate(batches, 1):
            yield self.run(texts.take(rows), output, give_back=give_back and number == len(batches))

    def _run(self, batch: PackedBatch, output: Output, staged: Any, give_back: bool) -> Float32:
        with self._lock:
            try:
                result = self._compute(batch, output, staged, give_back)
            except Exception as error:  # ONNX Runtime's classes have no base of their own
                raise self._translate(error, batch) from None
        if output.per_token:
            result = self._pack(result, batch)
        if not np.isfinite(result).all():
            raise self._not_finite(batch)
        return result

    def _compute(self, batch: PackedBatch, output: Output, staged: Any, give_back: bool) -> Float32:
        """The output as the graph gives it, in an array of the caller's own. `staged`: what a subclass prepared, or None."""
        rows = self._token_shape(batch) if output.per_token else (len(batch),)
        result = np.empty((*rows, output.width), np.float32)
        binding = self._session.io_binding()
        feed = self._feed(batch)  # the binding has addresses only: these arrays must outlive the run
        for name, array in feed.items():
            binding.bind_input(name, "cpu", 0, array.dtype, array.shape, array.ctypes.data)
        for name, value in self._for_this_alone(output).items():
            binding.bind_ortvalue_input(name, value)
        binding.bind_output(output.name, "cpu", 0, np.float32, result.shape, result.ctypes.data)
        self._session.run_with_iobinding(binding, self._give_back if give_back else self._usual)
        return result

    def _feed(self, batch: PackedBatch) -> dict[str, NDArray[Any]]:
        """The graph's inputs for this batch; valid until the next call."""
        raise NotImplementedError

    def _for_this_alone(self, output: Output) -> Mapping[str, onnxruntime.OrtValue]:
        """Optional inputs by which the graph computes less than all its outputs need; the base class knows none."""
        return {}

    def _token_shape(self, batch: PackedBatch) -> tuple[int, ...]:
        """The leading axes of an output that has a row for every token."""
        raise NotImplementedError

    def _pack(self, rows: Float32, batch: PackedBatch) -> Float32:
        """Rows of such an output without padding: [total_tokens, width]."""
        raise NotImplementedError

    def _check_inputs(self) -> bool:
        """Whether the graph takes token types; `BundleError` if it takes anything else than it should."""
        found = {node.name: node.type for node in self._session.get_inputs()}
        name, kind = self.token_types
        typed = found.pop(name, None)
        if found != dict(self.inputs) or typed not in (None, kind):
            raise BundleError(
                f"variant {self._variant} takes {found}, expected {dict(self.inputs)}. Export the bundle again"
            )
        return typed is not None

    def _not_finite(self, batch: PackedBatch) -> BundleError:
        return BundleError(
            f"{self._variant} gave numbers that are not finite for {len(batch)} texts. "
            "Check the bundle with `strizh verify`, or load a float32 variant"
        )

    def _translate(self, error: Exception, batch: PackedBatch) -> Exception:
        size, line = f"{len(batch)} texts of {len(batch.input_ids)} tokens", one_line(error)
        if "alloc" in line.lower():
            return DeviceError(f"{self._variant}: not enough memory for {size}. Load with a smaller max_batch_tokens")
        return BundleError(f"{self._variant}: the graph failed on {size}: {line}. Check it with `strizh verify`")


def one_line(error: BaseException) -> str:
    """The message without its line breaks, cut to a readable length."""
    return " ".join(str(error).split())[:400]
