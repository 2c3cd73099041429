"""ONNX Runtime as sentence-transformers drives it: its export, level O3, and dynamic int8 by its recipe for this machine."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.engines import Batch, Configuration, Precision
from benchmarks.files.optimum import BUNDLE, FILES
from benchmarks.padding import encode_padded

ENVIRONMENT = "optimum"  # optimum-onnx does not allow transformers 5
PACKAGES = ("sentence-transformers", "optimum-onnx", "onnxruntime", "transformers")
RUNS_WITH = ("sentence-transformers", "optimum-onnx", "onnxruntime")
IMPORTS = ("sentence_transformers", "optimum.onnxruntime")


def configurations() -> list[Configuration]:
    """The three that its documentation tells to choose from."""
    precisions: dict[str, Precision] = {"fp32": "fp32", "O3": "fp32", "int8": "int8"}
    return [
        Configuration(
            f"sentence-transformers onnx {name}",
            "sentence_transformers_onnx",
            precision,
            {"recipe": name},
            files=(BUNDLE, f"portable.optimum.{name}"),
            takes=("ids", "strings"),
            least_cosine=0.9999 if precision == "fp32" else 0.0,
        )
        for name, precision in precisions.items()
    ]


class SentenceTransformersOnnxEngine:
    """Its ONNX backend for the encoder; pooling and length in PyTorch, as it does."""

    def __init__(self, folder: Path, threads: int, file: str, pad: int) -> None:
        import onnxruntime
        import torch
        from sentence_transformers import SentenceTransformer

        torch.set_num_threads(threads)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        settings = {"file_name": file, "session_options": options}
        self._model = SentenceTransformer(str(folder), backend="onnx", model_kwargs=settings, device="cpu")
        self._torch, self._pad = torch, pad

    def encode(self, batch: Batch, batch_size: int | None) -> NDArray[np.float32]:
        """Texts through its `encode`, which sorts by length and pads; token ids through its modules."""
        if batch.ids:
            return encode_padded(self._run, batch.ids, batch_size, self._pad)
        vectors: NDArray[np.float32] = self._model.encode(
            batch.strings, batch_size=batch_size or 32, show_progress_bar=False, convert_to_numpy=True, prompt=""
        )
        return vectors

    def _run(self, input_ids: NDArray[np.int64], attention_mask: NDArray[np.int64]) -> NDArray[np.float32]:
        with self._torch.inference_mode():
            features = {"input_ids": input_ids, "attention_mask": attention_mask}
            found = self._model({name: self._torch.from_numpy(array) for name, array in features.items()})
        vectors: NDArray[np.float32] = found["sentence_embedding"].numpy()
        return vectors


def open_engine(model: dict[str, Any], threads: int, recipe: str) -> SentenceTransformersOnnxEngine:
    """Open one of the folders."""
    folder = Path(model["files"]) / f"portable.optimum.{recipe}"
    return SentenceTransformersOnnxEngine(folder, threads, FILES[recipe], model["pad_token_id"])
