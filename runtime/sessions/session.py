"""What the encoder asks of a session, and how ONNX Runtime's own errors cross the border."""

from typing import NoReturn, Protocol

from strizh.runtime.batching import PackedBatch
from strizh.runtime.errors import BundleError, DeviceError
from strizh.runtime.vectors import Float32


class Session(Protocol):
    """One open graph. Thread-safe: runs take turns, so that one batch at a time is in memory."""

    padded: bool  # whether batches are padded at its door, so that padding counts against the budget
    providers: tuple[str, ...]  # the execution providers that ONNX Runtime really uses, best first

    def run(self, batch: PackedBatch) -> Float32:
        """One output row a text: float32 [batch, width]. Every text has at least one token."""
        ...


def translate_run_error(error: Exception, variant: str, batch: PackedBatch) -> NoReturn:
    """Raise ONNX Runtime's error from running a batch as ours."""
    size = f"{len(batch)} texts of {len(batch.input_ids)} tokens"
    line = one_line(error)
    if "alloc" in line.lower():
        raise DeviceError(f"{variant}: not enough memory for {size}. Load with a smaller max_batch_tokens") from None
    raise BundleError(f"{variant}: the graph failed on {size}: {line}. Check the bundle with `strizh verify`") from None


def one_line(error: BaseException) -> str:
    """The message without its line breaks, cut to a readable length."""
    return " ".join(str(error).split())[:400]
