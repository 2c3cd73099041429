"""ONNX Runtime's CPU provider on plain ONNX files: float32, and int8 by its own `quantize_dynamic`."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.engines import Batch, Configuration, Precision
from benchmarks.padding import encode_padded

ENVIRONMENT = "main"
PACKAGES = ("onnxruntime",)
RUNS_WITH = ("onnxruntime", "tokenizers")
IMPORTS = ("onnxruntime",)


def configurations() -> list[Configuration]:
    """Our portable file and torch's export, each as it is and quantised."""
    return [one for source in ("portable", "torch") for one in _of(source)]


def _of(source: str) -> list[Configuration]:
    return [
        _configuration("fp32", f"{source}.onnx", least_cosine=0.9999),
        _configuration("int8", f"{source}.dynamic_int8.onnx", least_cosine=0.0),
    ]


def _configuration(precision: Precision, file: str, least_cosine: float) -> Configuration:
    label = f"onnxruntime {precision}"
    return Configuration(label, "onnxruntime", precision, {"file": file}, files=(file,), least_cosine=least_cosine)


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
