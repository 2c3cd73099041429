"""Packed graphs open in ONNX Runtime, and run."""

import numpy as np
import onnx
import onnxruntime

from strizh.kernels import library_path


def open_session(model: onnx.ModelProto) -> onnxruntime.InferenceSession:
    """A session on the CPU with strizh's operators."""
    onnx.checker.check_model(model)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    options.register_custom_ops_library(str(library_path()))
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def packed(texts: list[list[int]]) -> dict[str, np.ndarray]:
    """The inputs of a packed graph."""
    cu_seqlens = np.cumsum([0, *map(len, texts)]).astype(np.int32)
    return {"input_ids": np.concatenate(texts).astype(np.int32), "cu_seqlens": cu_seqlens}


def run(session: onnxruntime.InferenceSession, texts: list[list[int]]) -> list[np.ndarray]:
    """All outputs."""
    found: list[np.ndarray] = session.run(None, packed(texts))
    return found
