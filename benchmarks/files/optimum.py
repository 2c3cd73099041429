"""A folder for sentence-transformers' ONNX backend: its export as it is, at optimum's level O3, or in dynamic int8.

Its export knows BERT. In a RoPEBert's place it gets our portable bundle, which the backend reads as well.
"""

import json
import shutil
from pathlib import Path
from typing import Any

from benchmarks.files import hash_of

ENVIRONMENT = "optimum"
BUNDLE = "bundle.portable-fp32"  # made before this one
FILES = {"fp32": "model.onnx", "O3": "model_O3.onnx", "int8": "model_qint8_avx512_vnni.onnx"}


def key(source: str) -> str:
    """Changes with the portable graph, for the models that need it."""
    return hash_of(Path(source))


def make(model: dict[str, Any], source: str, path: str) -> None:
    """Write the one of `FILES` that the folder's name ends with, and what sentence-transformers expects around it."""
    recipe = Path(path).suffix.removeprefix(".")
    from sentence_transformers import (
        SentenceTransformer,
        export_dynamic_quantized_onnx_model,
        export_optimized_onnx_model,
    )
    from sentence_transformers.models import Normalize, Pooling, Transformer

    config = json.loads(Path(model["checkpoint"], "config.json").read_text(encoding="utf-8"))
    if "RoPEBertModel" in config["architectures"]:
        shutil.copytree(Path(model["files"]) / BUNDLE, path)
    else:
        body = Transformer(model["checkpoint"], max_seq_length=model["max_length"], backend="onnx")
        pooling = Pooling(body.get_word_embedding_dimension(), "mean")
        SentenceTransformer(modules=[body, pooling, Normalize()], device="cpu").save_pretrained(path)
    if recipe == "fp32":
        return
    plain = {"file_name": FILES["fp32"]}
    opened = SentenceTransformer(path, backend="onnx", model_kwargs=plain, device="cpu")
    if recipe == "O3":
        export_optimized_onnx_model(opened, "O3", path)
    else:
        export_dynamic_quantized_onnx_model(opened, "avx512_vnni", path)
    Path(path, "onnx", FILES["fp32"]).unlink()
