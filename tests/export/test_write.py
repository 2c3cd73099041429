"""Writing models: the streamed bytes are the model, weights beside a graph are shared, mapped and right."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import numpy_helper

from strizh.export.graph import FLOAT, Graph
from strizh.export.write import ExternalData, check_model, external_data, write_model
from strizh.runtime.errors import Error

WEIGHTS = {"a": np.arange(700, dtype=np.float32).reshape(7, 100), "b": np.ones((100, 3), np.float32)}


def model_of(*slots: str) -> onnx.ModelProto:
    g = Graph("chain", WEIGHTS)
    x = "x"
    for slot in slots:
        x = g.node("MatMul", x, g.weight(slot))
    g.rename(x, "y")
    shapes = {"x": (FLOAT, ("n", 7))}, {"y": (FLOAT, ("n", 3 if "b" in slots else 100))}
    return g.model(*shapes, {"family": "test"})


def run(path: Path) -> np.ndarray:
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    found: np.ndarray = session.run(None, {"x": np.eye(7, dtype=np.float32)})[0]
    return found


@pytest.mark.parametrize("external", [False, True])
def test_what_is_written_is_the_model(tmp_path: Path, external: bool) -> None:
    model = model_of("a", "b")
    expected = onnx.ModelProto()
    expected.CopyFrom(model)
    path = tmp_path / "onnx/model.onnx"
    write_model(model, path, external_data(path, model, wanted=external))
    assert onnx.load(path).graph.node == expected.graph.node
    if not external:
        assert onnx.load(path) == expected
    for tensor in onnx.load(path).graph.initializer:
        np.testing.assert_array_equal(numpy_helper.to_array(tensor, tmp_path / "onnx"), WEIGHTS[tensor.name])
    np.testing.assert_array_equal(run(path), WEIGHTS["a"] @ WEIGHTS["b"])
    onnx.checker.check_model(path, full_check=False)


def test_two_graphs_share_one_file_and_weights_start_on_pages(tmp_path: Path) -> None:
    data = ExternalData(tmp_path / "shared_data")
    write_model(model_of("a", "b"), tmp_path / "both.onnx", data)
    size = data.path.stat().st_size
    write_model(model_of("a"), tmp_path / "first.onnx", data)
    assert data.path.stat().st_size == size
    assert all(offset % 4096 == 0 for offset, _ in data.places.values())
    np.testing.assert_array_equal(run(tmp_path / "first.onnx"), WEIGHTS["a"])


def test_an_initialiser_that_nothing_reads_is_a_bug(tmp_path: Path) -> None:
    model = model_of("a")
    model.graph.initializer.append(numpy_helper.from_array(np.zeros(3, np.float32), "forgotten"))
    with pytest.raises(Error, match=r"nothing reads: forgotten"):
        check_model(model)


def test_a_graph_that_is_not_onnx_is_a_bug() -> None:
    model = model_of("a")
    model.graph.node[0].op_type = "MatMull"
    with pytest.raises(Error, match="not valid ONNX"):
        check_model(model)
