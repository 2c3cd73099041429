"""OpenVINO's own post-training quantisation: NNCF's defaults for transformers, with static scales from calibration."""

import json
from pathlib import Path
from typing import Any

from benchmarks.files import hash_of

ENVIRONMENT = "openvino"


def key(source: str) -> str:
    """Changes with the graph."""
    return hash_of(Path(source))


def make(model: dict[str, Any], source: str, path: str) -> None:
    """Calibrate on the model's own calibration ids, one text at a time."""
    import nncf
    import numpy as np
    import openvino

    texts = json.loads((Path(model["files"]) / "calibration.json").read_text())
    inputs = [{"input_ids": np.array([ids]), "attention_mask": np.ones((1, len(ids)), np.int64)} for ids in texts]
    quantized = nncf.quantize(
        openvino.Core().read_model(source),
        nncf.Dataset(inputs),
        model_type=nncf.ModelType.TRANSFORMER,
        subset_size=len(inputs),
    )
    openvino.save_model(quantized, path, compress_to_fp16=False)
