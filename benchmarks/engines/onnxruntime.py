"""ONNX Runtime's CPU provider on plain ONNX files: float32, and int8 by its own `quantize_dynamic`."""

from pathlib import Path
from typing import Any

import numpy as np
from benchmarks.engines import Batch, Configuration
from benchmarks.padding import encode_padded
from numpy.typing import NDArray

ENVIRONMENT = "main"
PACKAGES = ("onnxruntime",)


def configurations() -> list[Configuration]:
    """Our portable file and torch's export, each as it is and quantised."""
    return [
        Configuration(f"onnxruntime {precision}", "onnxruntime", precision, {"file": f}, files=(f,), least_cosine=least)
        for source in ("portable", "torch")
        for precision, f, least in (
            ("fp32", f"{source}.onnx", 0.9999),
            ("int8", f"{source}.dynamic_int8.onnx", 0.0),
        )
    ]


class OnnxRuntimeEngine:
    """A session with ONNX Runtime's defaults but for the threads. Spinning, its default, is left on: it is quickest."""

    def __init__(self, path: Path, threads: int, pad: int) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        self._session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        self._pad = pad

    def encode(self, batch: Batch, batch_size: int | None) -> NDArray[np.float32]:
        """Sorted by length and padded."""
        return encode_padded(self._run, batch.ids, batch_size, self._pad)

    def _run(self, input_ids: NDArray[np.int64], attention_mask: NDArray[np.int64]) -> NDArray[np.float32]:
        feeds = {"input_ids": input_ids, "attention_mask": attention_mask}
        vectors: NDArray[np.float32] = self._session.run(["sentence_embedding"], feeds)[0]
        return vectors


def open_engine(model: dict[str, Any], threads: int, file: str) -> OnnxRuntimeEngine:
    """Open one of the model's files."""
    return OnnxRuntimeEngine(Path(model["files"]) / file, threads, model["pad_token_id"])
