"""OpenVINO's CPU plug-in on plain ONNX files: float32, bfloat16, and int8 by NNCF."""

from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from benchmarks.engines import Batch, Configuration, Precision
from benchmarks.padding import encode_padded

ENVIRONMENT = "openvino"
PACKAGES = ("openvino", "nncf")
RUNS_WITH = ("openvino", "tokenizers")
IMPORTS = ("openvino",)


def configurations() -> list[Configuration]:
    """Our portable file and torch's export in each precision; int8 with what is left of it in f32, and in bf16."""
    found = []
    for source in ("portable", "torch"):
        for precision, least in (("fp32", 0.9999), ("bf16", 0.99)):
            found.append(_configuration(cast(Precision, precision), f"{source}.onnx", precision, least))
        for rest in ("fp32", "bf16"):
            found.append(_configuration("int8", f"{source}.nncf_int8.xml", rest, 0.0))
    return found


def _configuration(precision: Precision, file: str, hint: str, least_cosine: float) -> Configuration:
    options = {"file": file, "hint": hint}
    return Configuration(
        f"openvino {precision}", "openvino", precision, options, files=(file,), least_cosine=least_cosine
    )


class OpenVinoEngine:
    """One compiled model of dynamic shapes, one request at a time, all threads in it."""

    def __init__(self, path: Path, threads: int, hint: str, pad: int) -> None:
        import openvino

        settings = {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_NUM_THREADS": threads,
            "INFERENCE_PRECISION_HINT": {"fp32": "f32", "bf16": "bf16"}[hint],
        }
        self._request = openvino.Core().compile_model(path, "CPU", settings).create_infer_request()
        self._pad = pad

    def encode(self, batch: Batch, batch_size: int | None) -> NDArray[np.float32]:
        """Sorted by length and padded."""
        return encode_padded(self._run, batch.ids, batch_size, self._pad)

    def _run(self, input_ids: NDArray[np.int64], attention_mask: NDArray[np.int64]) -> NDArray[np.float32]:
        outputs = self._request.infer({"input_ids": input_ids, "attention_mask": attention_mask}, share_inputs=True)
        return np.array(outputs["sentence_embedding"])


def open_engine(model: dict[str, Any], threads: int, file: str, hint: str) -> OpenVinoEngine:
    """Compile one of the model's files."""
    return OpenVinoEngine(Path(model["files"]) / file, threads, hint, model["pad_token_id"])
