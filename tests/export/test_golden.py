"""The published RoPEBert module's own figures, through the exported graphs in ONNX Runtime."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

from strizh.export import export_model

GOLDEN = json.loads((Path(__file__).parents[1] / "data/ropebert.json").read_text())
CASES = {case["name"]: case for case in GOLDEN["cases"]}


def golden_tensors(shapes: dict[str, tuple[int, ...]]) -> dict[str, np.ndarray]:
    """The file's `weight_recipe`."""
    tensors = {}
    for index, name in enumerate(GOLDEN["names_sorted"]):
        flat = np.arange(np.prod(shapes[name]), dtype=np.float64)
        value = 0.3 * np.sin(0.37 * flat + 1.3 * index) + name.endswith("LayerNorm.weight")
        tensors[name] = value.astype(np.float32).reshape(shapes[name])
    return tensors


def head_tensor(*shape: int) -> np.ndarray:
    return (0.2 * np.cos(0.11 * np.arange(np.prod(shape)))).astype(np.float32).reshape(shape)


@pytest.mark.parametrize("variant", ["portable-fp32", "ort-fp32"])
@pytest.mark.parametrize("name", CASES)
def test_golden(make_checkpoint: Callable[..., Path], tmp_path: Path, name: str, variant: str) -> None:
    case: dict[str, Any] = CASES[name]
    logits = case["what"] == "logits"
    architecture = {"architectures": ["RoPEBertForSequenceClassification"]} if logits else {}

    def golden(tensors: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        found = golden_tensors({name: tensor.shape for name, tensor in tensors.items()})
        if case["overrides"].get("pooler_type") == "first_token_transform":
            found |= {"pooler.dense.weight": head_tensor(16, 16), "pooler.dense.bias": head_tensor(16)}
        if logits:
            found |= {"classifier.weight": head_tensor(3, 16), "classifier.bias": head_tensor(3)}
        return found

    folder = make_checkpoint(config=GOLDEN["config"] | architecture | case["overrides"], change=golden)
    dynamic = (case["overrides"].get("rope_scaling") or {}).get("type") == "dynamic"
    ntk_length = "batch" if dynamic else "text"
    export_model(folder, tmp_path / "bundle", variants=[variant], normalize=False, ntk_length=ntk_length, max_length=13)
    graph = {"portable-fp32": "", "ort-fp32": "_ort"}[variant]
    path = tmp_path / f"bundle/onnx/{'classifier' if logits else 'model'}{graph}.onnx"
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    inputs = {key: np.array(case[key], np.int64) for key in ("input_ids", "attention_mask")}
    found = session.run(["logits" if logits else "sentence_embedding"], inputs)[0]
    np.testing.assert_allclose(found, case["expected"], rtol=0, atol=1e-5)


def test_all_seven_cases_are_there() -> None:
    assert len(CASES) == 7
