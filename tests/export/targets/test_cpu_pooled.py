"""Graphs whose vectors are of one token a text: the same bits with and without the other rows of the last layer."""

import dataclasses
from collections.abc import Iterator
from typing import Any

import numpy as np
import onnx
import pytest
from packed_sessions import open_session, packed
from small_encoders import TEXTS, bert, modernbert, qwen3, rope_bert, t5, weights_of, with_heads

from strizh.export.spec import Classifier, EncoderSpec, Pooling, Projection, Scaling
from strizh.export.targets import cpu
from strizh.kernels import instruction_sets, library_path, native

pytestmark = pytest.mark.skipif(library_path() is None, reason="the kernels were not built")

BERT = bert()
FLAG = "output_token_embeddings"
SPECS = {
    "first": dataclasses.replace(BERT, pooling=(Pooling.CLS,)),
    "first, not normalized, rope by length": dataclasses.replace(
        rope_bert(BERT, scaling=Scaling.DYNAMIC, factor=2.0), pooling=(Pooling.CLS,), normalize=False
    ),
    "first, transformed, with heads of tokens": dataclasses.replace(
        BERT, pooling=(Pooling.FIRST_TOKEN_TRANSFORM,), sparse=(0, 2), multi_vector=7
    ),
    "first, a final norm, projected": dataclasses.replace(
        modernbert(BERT), pooling=(Pooling.CLS,), projections=(Projection(BERT.hidden_size, 5, True, "tanh"),)
    ),
    "last, causal": qwen3(BERT),
    "last, relative bias": dataclasses.replace(
        t5(BERT), pooling=(Pooling.LAST,), relative_buckets=32, relative_max_distance=128
    ),
}
# None, one token, one long among short, and many.
BATCHES = [TEXTS, [[]], [[0], [], [0, *range(4, 38)], [], [5]], [[0, 3 + number % 37] for number in range(200)]]


@pytest.fixture(params=[*instruction_sets(), "amx_emulated"] if library_path() else [""], autouse=True)
def isa(request: pytest.FixtureRequest) -> Iterator[str]:
    native.use_isa(request.param)
    yield request.param
    native.use_isa("")


def outputs(session: Any, feed: dict[str, Any], tokens: int | None) -> dict[str, np.ndarray]:
    """All of them, by name; `tokens` is what the graph is told, if anything."""
    told = {} if tokens is None else {FLAG: np.array([tokens], np.int32)}
    names = [node.name for node in session.get_outputs()]
    return dict(zip(names, session.run(names, feed | told), strict=True))


@pytest.mark.parametrize("precision", ["fp32", "bf16", "int8"])
@pytest.mark.parametrize("name", SPECS)
def test_vectors_are_the_same_bits_without_the_tokens(
    name: str, precision: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = SPECS[name]
    session = open_session(cpu.build(spec, weights_of(spec), precision=precision))
    monkeypatch.setattr(cpu, "pooled_token", lambda *_: None)
    plain = open_session(cpu.build(spec, weights_of(spec), precision=precision))
    for texts in BATCHES:
        feed = packed(texts)
        expected, found = outputs(plain, feed, None), outputs(session, feed, None)
        assert expected.keys() == found.keys()
        for output in expected:
            np.testing.assert_array_equal(found[output], expected[output])
            np.testing.assert_array_equal(outputs(session, feed, 1)[output], expected[output])
        alone = outputs(session, feed, 0)
        np.testing.assert_array_equal(alone.pop("sentence_embedding"), expected["sentence_embedding"])
        assert all(rows.shape == (0, expected[output].shape[1]) for output, rows in alone.items())


@pytest.mark.parametrize("name", [name for name, spec in SPECS.items() if not spec.projections and "trans" not in name])
def test_vectors_are_pooled_of_the_tokens(name: str) -> None:
    spec = SPECS[name]
    feed = packed(TEXTS)
    found = outputs(open_session(cpu.build(spec, weights_of(spec))), feed, None)
    pooled = native.pool(found["token_embeddings"], feed["cu_seqlens"], str(spec.pooling[0]))
    vectors = native.normalize(pooled) if spec.normalize else pooled
    np.testing.assert_array_equal(found["sentence_embedding"], vectors)


@pytest.mark.parametrize("head", [{}, {"hidden_activation": "gelu", "hidden_norm": True}], ids=["linear", "hidden"])
def test_a_classifiers_graph_has_no_other_rows(head: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    spec = dataclasses.replace(BERT, classifier=Classifier(("no", "yes"), Pooling.CLS, **head))
    model = cpu.build(spec, weights_of(spec), "classifier")
    (node,) = (node for node in model.graph.node if node.op_type == "PooledEncoderLayer")
    assert len(node.output) == 1 and FLAG not in {value.name for value in model.graph.input}
    monkeypatch.setattr(cpu, "pooled_token", lambda *_: None)
    plain = cpu.build(spec, weights_of(spec), "classifier")
    for texts in BATCHES:
        (found,), (expected,) = (open_session(one).run(None, packed(texts)) for one in (model, plain))
        np.testing.assert_array_equal(found, expected)


def test_weights_are_stored_once(monkeypatch: pytest.MonkeyPatch) -> None:
    spec = SPECS["last, causal"]
    stored = {tensor.name: len(tensor.raw_data) for tensor in cpu.build(spec, weights_of(spec)).graph.initializer}
    monkeypatch.setattr(cpu, "pooled_token", lambda *_: None)
    plain = {tensor.name: len(tensor.raw_data) for tensor in cpu.build(spec, weights_of(spec)).graph.initializer}
    assert stored == plain | {FLAG: 4}


@pytest.mark.parametrize(
    "spec",
    [
        BERT,
        dataclasses.replace(BERT, pooling=(Pooling.CLS, Pooling.MEAN)),
        dataclasses.replace(BERT, pooling=(Pooling.CLS, Pooling.LAST)),
        dataclasses.replace(modernbert(BERT), pooling=(Pooling.CLS,), norm_bias=True),
        with_heads(BERT),
    ],
    ids=["mean", "first and mean", "first and last", "a bias of the final norm", "many"],
)
def test_who_reads_more_than_one_token_has_them_all(spec: EncoderSpec) -> None:
    model = cpu.build(spec, weights_of(spec))
    assert {value.name for value in model.graph.input} == {"input_ids", "cu_seqlens"}
    assert "PooledEncoderLayer" not in {node.op_type for node in model.graph.node}


def test_a_classifier_of_every_tokens_hidden_reads_them_all() -> None:
    head = Classifier(("no", "yes"), Pooling.CLS, "gelu", hidden_of_tokens=True)
    assert cpu.pooled_token(dataclasses.replace(BERT, classifier=head), "classifier") is None


@pytest.mark.parametrize("pooling", ["mean", "max", "first_token_transform", ""])
def test_another_pooling_is_one_sentence(pooling: str) -> None:
    model = cpu.build(SPECS["first"], weights_of(SPECS["first"]))
    (node,) = (node for node in model.graph.node if node.op_type == "PooledEncoderLayer")
    (attribute,) = (item for item in node.attribute if item.name == "pooling")
    attribute.CopyFrom(onnx.helper.make_attribute("pooling", pooling))
    with pytest.raises(Exception, match=f"attribute pooling is '{pooling}'; expected one of cls, last"):
        open_session(model)
    node.attribute.remove(attribute)
    with pytest.raises(Exception, match="pooling"):
        open_session(model)


def test_a_node_that_is_not_asked_gives_all_rows() -> None:
    model = cpu.build(SPECS["first"], weights_of(SPECS["first"]))
    expected = open_session(model).run(None, packed(TEXTS))
    (node,) = (node for node in model.graph.node if node.op_type == "PooledEncoderLayer")
    assert node.input.pop() == FLAG
    for graph_side in (model.graph.input, model.graph.initializer):
        graph_side.remove(next(value for value in graph_side if value.name == FLAG))
    for found, whole in zip(open_session(model).run(None, packed(TEXTS)), expected, strict=True):
        np.testing.assert_array_equal(found, whole)


def test_a_second_output_without_a_name_is_one_sentence() -> None:
    model = cpu.build(SPECS["first"], weights_of(SPECS["first"]))
    (node,) = (node for node in model.graph.node if node.op_type == "PooledEncoderLayer")
    node.output[1] = ""
    model.graph.output.remove(next(value for value in model.graph.output if value.name == "token_embeddings"))
    session = open_session(model)
    for answer in (0, 1):
        with pytest.raises(Exception, match="PooledEncoderLayer: output 1 of the node is missing"):
            session.run(None, packed(TEXTS) | {FLAG: np.full(1, answer, np.int32)})


def test_more_than_one_answer_is_one_sentence() -> None:
    model = cpu.build(SPECS["first"], weights_of(SPECS["first"]))
    (value,) = (value for value in model.graph.input if value.name == FLAG)
    value.type.tensor_type.shape.dim[0].ClearField("dim_value")
    session = open_session(model)
    with pytest.raises(Exception, match="output_token_embeddings is not a single int32"):
        session.run(None, packed(TEXTS) | {FLAG: np.zeros(2, np.int32)})
