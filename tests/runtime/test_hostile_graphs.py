"""Hostile graphs and weights that the manifest vouches for: one clear line each, and nothing outside the folder is opened."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import strizh
from strizh.runtime.errors import BundleError
from strizh.runtime.manifest import Variant

MakeBundle = Callable[..., Path]
Refuses = Callable[[Path, str], None]
MODEL = "onnx/model.onnx"


def test_cut_off_graph_that_the_manifest_vouches_for(
    make_bundle: MakeBundle, refuses: Refuses, tiny: SimpleNamespace
) -> None:
    folder = make_bundle()
    data = (folder / MODEL).read_bytes()
    for end in range(0, len(data), 7):
        (folder / MODEL).write_bytes(data[:end])
        tiny.write_manifest(folder)
        refuses(
            folder, "is not a whole ONNX file|is not a graph that ONNX Runtime|takes .*, expected|gives .*, expected"
        )


def test_noise_instead_of_a_graph(make_bundle: MakeBundle, refuses: Refuses, tiny: SimpleNamespace) -> None:
    folder, generator = make_bundle(), np.random.default_rng(5)
    for size in (1, 2, 10, 1000):
        (folder / MODEL).write_bytes(generator.bytes(size))
        tiny.write_manifest(folder)
        refuses(folder, "is not a whole ONNX file|is not a graph that ONNX Runtime|takes .*, expected")


def with_node(graph: onnx.ModelProto, **node: object) -> onnx.ModelProto:
    graph.graph.node.append(helper.make_node(inputs=["mean"], outputs=["extra"], **node))  # type: ignore[arg-type]
    return graph


@pytest.mark.parametrize(
    "domain", ["evil", "ai.onnx.contrib", "ai.onnx.training", "com.microsoft.experimental", "Strizh"]
)
def test_foreign_operators(make_bundle: MakeBundle, refuses: Refuses, tiny: SimpleNamespace, domain: str) -> None:
    graph = with_node(tiny.mean_graph(), op_type="PyOp", domain=domain)
    refuses(make_bundle(graph=graph), f"needs operators of '{domain}'")
    graph.opset_import.append(helper.make_opsetid(domain, 1))
    refuses(make_bundle(graph=graph), f"needs operators of '{domain}'")


def test_foreign_operators_deep_inside(make_bundle: MakeBundle, refuses: Refuses, tiny: SimpleNamespace) -> None:
    body = helper.make_graph([helper.make_node("PyOp", [], ["x"], domain="evil")], "body", [], [])
    for _ in range(3):
        body = helper.make_graph(
            [helper.make_node("If", ["c"], ["y"], then_branch=body, else_branch=body)], "b", [], []
        )
    refuses(make_bundle(graph=with_node(tiny.mean_graph(), op_type="Loop", body=body)), "needs operators of 'evil'")
    graph = tiny.mean_graph()
    graph.functions.append(helper.make_function("evil", "F", [], [], [], [helper.make_opsetid("", 18)]))
    refuses(make_bundle(graph=graph), "needs operators of 'evil'")


def test_bottomless_graphs(make_bundle: MakeBundle, refuses: Refuses, tiny: SimpleNamespace) -> None:
    def message(number: int, content: bytes) -> bytes:
        size, length = b"", len(content)
        while length > 127:
            size, length = size + bytes([length & 127 | 128]), length >> 7
        return bytes([number << 3 | 2]) + size + bytes([length]) + content

    data = b""
    for _ in range(2000):  # GraphProto { node { attribute { g
        data = message(1, message(5, message(6, data)))
    folder = make_bundle()
    (folder / MODEL).write_bytes(message(7, data))
    tiny.write_manifest(folder)
    refuses(folder, "nested deeper than")


def external(location: str, **where: int) -> onnx.TensorProto:
    """A tensor [18, 8] that lies in another file."""
    tensor = numpy_helper.from_array(np.zeros((18, 8), np.float32), "table")
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in {"location": location, **where}.items():
        tensor.external_data.add(key=key, value=str(value))
    return tensor


@pytest.mark.parametrize(
    ("location", "message"),
    [
        ("/etc/passwd", "is an absolute path"),
        ("../../outside", "leaves or repeats its folder"),
        ("../tokenizer.json", "leaves or repeats its folder"),
        ("", "is empty"),
        ("undeclared", "is not one of the variant's data files"),
        ("model.onnx", "is not one of the variant's data files"),
        ("*/_ORT_MEM_ADDR_/*", "holds the character"),  # ONNX Runtime reads its own memory for this name
        ("weights\0", "holds the character"),
    ],
)
def test_weights_elsewhere(
    make_bundle: MakeBundle, refuses: Refuses, tiny: SimpleNamespace, location: str, message: str
) -> None:
    for place in ("initializer", "constant", "sparse", "subgraph"):
        graph = tiny.mean_graph()
        tensor = external(location)
        if place == "initializer":
            graph.graph.initializer[0].CopyFrom(tensor)
        elif place == "constant":
            graph.graph.node.append(helper.make_node("Constant", [], ["x"], value=tensor))
        elif place == "sparse":
            graph.graph.sparse_initializer.add().values.CopyFrom(tensor)
        else:
            body = helper.make_graph([], "body", [], [], [tensor])
            graph.graph.node.append(helper.make_node("If", ["c"], ["y"], then_branch=body, else_branch=body))
        refuses(make_bundle(graph=graph), f"keeps weights in .*{message}")


def test_a_field_of_another_kind_hides_no_place(
    make_bundle: MakeBundle, refuses: Refuses, tiny: SimpleNamespace
) -> None:
    """ONNX's reader skips a number where a text belongs, so that the text before it counts."""
    graph = tiny.mean_graph()
    tensor = external("../../outside")
    tensor.external_data[0].MergeFromString(b"\x10\x41")  # field 2 again, as the number 65, which is "A" as bytes
    graph.graph.initializer[0].CopyFrom(tensor)
    refuses(make_bundle(graph=graph), "keeps weights in .*leaves or repeats its folder")


@pytest.mark.parametrize("hidden", [b"\x1a\x01\x01", b"\x08\x01"], ids=["flag as text", "name as number"])
def test_a_field_of_another_kind_hides_no_engine_elsewhere(
    make_bundle: MakeBundle, refuses: Refuses, tiny: SimpleNamespace, hidden: bytes
) -> None:
    graph = tiny.mean_graph()
    node = helper.make_node("EPContext", [], ["x"], domain="com.microsoft", ep_cache_context=b"file", embed_mode=0)
    node.attribute[[attribute.name for attribute in node.attribute].index("embed_mode")].MergeFromString(hidden)
    graph.graph.node.append(node)
    refuses(make_bundle(graph=graph), "names the file of an engine")


@pytest.mark.parametrize(
    "where",
    [
        {"offset": 1 << 20},
        {"offset": 0, "length": 1 << 62},
        {"offset": -1},
        {"offset": 4, "length": 576},
        {"length": "x"},
    ],
    ids=str,
)
def test_weights_beyond_the_end_of_their_file(
    make_bundle: MakeBundle, refuses: Refuses, tiny: SimpleNamespace, where: dict
) -> None:  # type: ignore[type-arg]
    folder = make_bundle()
    graph = tiny.mean_graph()
    graph.graph.initializer[0].CopyFrom(external("weights", **where))
    onnx.save(graph, folder / MODEL)
    (folder / "onnx/weights").write_bytes(bytes(18 * 8 * 4))
    variant = Variant(MODEL, "portable", "fp32", data=("onnx/weights",))
    tiny.write_manifest(folder, variants={"portable-fp32": variant})
    refuses(folder, "wants bytes beyond the end of onnx/weights")


def test_weights_beside_the_graph_are_read(make_bundle: MakeBundle, refuses: Refuses, tiny: SimpleNamespace) -> None:
    folder = make_bundle()
    with strizh.load(folder) as inside:
        wanted = inside.encode(["the swift", "стриж"])
    graph = tiny.mean_graph()
    graph.graph.initializer[0].CopyFrom(external("weights", offset=0, length=18 * 8 * 4))
    onnx.save(graph, folder / MODEL)
    (folder / "onnx/weights").write_bytes(tiny.word_table().tobytes())
    variant = Variant(MODEL, "portable", "fp32", data=("onnx/weights",))
    tiny.write_manifest(folder, variants={"portable-fp32": variant})
    with strizh.load(folder) as beside:
        np.testing.assert_array_equal(beside.encode(["the swift", "стриж"]), wanted)
    weights = bytearray((folder / "onnx/weights").read_bytes())
    weights[7] ^= 64
    (folder / "onnx/weights").write_bytes(weights)
    refuses(folder, "onnx/weights is not the file that was exported")


def test_a_graph_of_another_kind(make_bundle: MakeBundle, refuses: Refuses, tiny: SimpleNamespace) -> None:
    refuses(make_bundle(graph=tiny.mean_graph(labels=3)), "expected sentence_embedding as float32")
    refuses(make_bundle(graph=tiny.mean_graph(hidden=9)), "expected sentence_embedding as float32")
    graph = tiny.mean_graph()
    graph.graph.input[1].type.tensor_type.elem_type = TensorProto.INT32
    refuses(make_bundle(graph=graph), "takes .*, expected")


def test_a_graph_that_fails_or_gives_no_numbers(make_bundle: MakeBundle, tiny: SimpleNamespace) -> None:
    tokenizer = tiny.word_tokenizer()
    tokenizer.add_tokens(["dragon"])  # its id is beyond the graph's table
    with strizh.load(make_bundle(tokenizer=tokenizer)) as encoder:
        assert encoder.encode("a").any()
        with pytest.raises(BundleError, match="portable-fp32: the graph failed on 1 texts of 3 tokens"):
            encoder.encode("dragon")
        assert encoder.encode("a").any()
    graph = tiny.mean_graph()
    table = tiny.word_table()
    table[5] = np.nan
    graph.graph.initializer[0].CopyFrom(numpy_helper.from_array(table, "table"))
    with strizh.load(make_bundle(graph=graph)) as encoder:
        assert encoder.encode("a").any()
        with pytest.raises(BundleError, match="not finite"):
            encoder.encode(["a", "летит"])
