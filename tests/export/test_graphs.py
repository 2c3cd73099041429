"""The padded graphs against the spec in NumPy: every position scheme, every scaling on both sides of its boundary."""

import itertools
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

from strizh.export import reference, targets
from strizh.export.checkpoint import read_checkpoint
from strizh.export.families import find_family
from strizh.export.options import Options, plan
from strizh.export.recipes import ORT_FP32, PORTABLE_FP32, Recipe
from strizh.export.spec import EncoderSpec, Pooling
from strizh.export.targets import ort
from strizh.export.weights import Weights, bind

MakeCheckpoint = Callable[..., Path]
PADDED = (PORTABLE_FP32, ORT_FP32)
TRAINED = 32  # positions of the small checkpoints
LENGTHS = (1, 2, 7, TRAINED - 1, TRAINED, TRAINED + 1, 2 * TRAINED, 3 * TRAINED)


def load(folder: Path, **options: object) -> tuple[EncoderSpec, Weights]:
    checkpoint = read_checkpoint(folder)
    family = find_family(checkpoint)
    spec = plan(checkpoint, family.describe(checkpoint), Options(**options)).spec  # type: ignore[arg-type]
    return spec, bind(checkpoint, spec, family.sources(checkpoint, spec), family.IGNORED)[0]


def run(recipe: Recipe, spec: EncoderSpec, weights: Weights, texts: list[list[int]]) -> list[np.ndarray]:
    model = targets.build(recipe, spec, weights, "embedding")
    onnx.checker.check_model(model, full_check=True)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    longest = max(map(len, texts))
    ids = np.array([text + [1] * (longest - len(text)) for text in texts], np.int64)
    mask = np.array([[1] * len(text) + [0] * (longest - len(text)) for text in texts], np.int64)
    found: list[np.ndarray] = session.run(
        ["token_embeddings", "sentence_embedding"], {"input_ids": ids, "attention_mask": mask}
    )
    return found


def random_texts(lengths: tuple[int, ...]) -> list[list[int]]:
    generator = np.random.default_rng(1)
    return [generator.integers(4, 40, length).tolist() for length in lengths]


def assert_close(found: np.ndarray, expected: np.ndarray) -> None:
    # Two layers of float32 over values near 1: a few hundred roundings of 6e-8.
    np.testing.assert_allclose(found, expected, rtol=0, atol=2e-5)


@pytest.mark.parametrize("recipe", PADDED, ids=lambda recipe: recipe.name)
@pytest.mark.parametrize("kind", ["bert", "xlm-roberta", "ropebert"])
@pytest.mark.parametrize("act", ["gelu", "gelu_new"])
def test_a_padded_batch_equals_each_text_alone_in_numpy(
    make_checkpoint: MakeCheckpoint, recipe: Recipe, kind: str, act: str
) -> None:
    spec, weights = load(make_checkpoint(kind, config={"hidden_act": act}), normalize=True)
    texts = random_texts((1, 5, TRAINED, 17))
    tokens, sentences = run(recipe, spec, weights, texts)
    expected = reference.run(spec, weights, texts)
    assert_close(sentences, expected.sentence_embedding)
    for row, text, vectors in zip(tokens, texts, expected.token_embeddings, strict=True):
        assert_close(row[: len(text)], vectors)


@pytest.mark.parametrize("recipe", PADDED, ids=lambda recipe: recipe.name)
@pytest.mark.parametrize("scaling", ["none", "linear:4.0", "dynamic:2.0", "dynamic:1.7"])
def test_rotary_scaling_at_every_length(make_checkpoint: MakeCheckpoint, recipe: Recipe, scaling: str) -> None:
    spec, weights = load(make_checkpoint(), rope_scaling=scaling)
    texts = random_texts(LENGTHS)
    expected = reference.run(spec, weights, texts).sentence_embedding
    assert_close(run(recipe, spec, weights, texts)[1], expected)
    for text, row in zip(texts, expected, strict=True):  # a short text keeps its vector when the long ones are gone
        assert_close(run(recipe, spec, weights, [text])[1][0], row)


def test_dynamic_scaling_changes_nothing_up_to_the_trained_positions(make_checkpoint: MakeCheckpoint) -> None:
    folder = make_checkpoint()
    texts = random_texts((3, TRAINED))
    plain, scaled = (
        run(PORTABLE_FP32, *load(folder, rope_scaling=scaling), texts)[1] for scaling in ("none", "dynamic:2.0")
    )
    np.testing.assert_array_equal(plain, scaled)


@pytest.mark.parametrize("recipe", PADDED, ids=lambda recipe: recipe.name)
def test_batch_ntk_takes_the_padded_length_for_all(make_checkpoint: MakeCheckpoint, recipe: Recipe) -> None:
    spec, weights = load(make_checkpoint(), rope_scaling="dynamic:2.0", ntk_length="batch")
    texts = random_texts((5, 2 * TRAINED))
    found = run(recipe, spec, weights, texts)[1]
    assert_close(found, reference.run(spec, weights, texts).sentence_embedding)
    alone = run(recipe, spec, weights, texts[:1])[1]
    assert np.abs(found[0] - alone[0]).max() > 1e-3, (
        "the long neighbour must change the short text, as it does in the module"
    )


@pytest.mark.parametrize("pooling", list(Pooling))
@pytest.mark.parametrize("recipe", PADDED, ids=lambda recipe: recipe.name)
def test_every_pooling(make_checkpoint: MakeCheckpoint, recipe: Recipe, pooling: Pooling) -> None:
    def with_pooler(tensors: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        generator = np.random.default_rng(5)
        weight, bias = generator.normal(0, 0.2, (24, 24)), generator.normal(0, 0.2, 24)
        return tensors | {"pooler.dense.weight": weight.astype("f4"), "pooler.dense.bias": bias.astype("f4")}

    spec, weights = load(make_checkpoint(change=with_pooler), pooling=pooling.value, normalize=True)
    texts = random_texts((1, 4, 30))
    assert_close(run(recipe, spec, weights, texts)[1], reference.run(spec, weights, texts).sentence_embedding)


@pytest.mark.parametrize("recipe", PADDED, ids=lambda recipe: recipe.name)
def test_a_text_without_tokens_gives_zeros_and_leaves_its_neighbours_alone(
    make_checkpoint: MakeCheckpoint, recipe: Recipe
) -> None:
    spec, weights = load(make_checkpoint(), normalize=True)
    texts = random_texts((6,))
    _, vectors = run(recipe, spec, weights, [[], *texts])
    assert (vectors[0] == 0).all()
    assert_close(vectors[1], reference.run(spec, weights, texts).sentence_embedding[0])


def test_pad_ids_inside_a_text_do_not_count_as_positions_of_xlm_roberta(make_checkpoint: MakeCheckpoint) -> None:
    spec, weights = load(make_checkpoint("xlm-roberta"))
    texts = [[0, 5, 1, 6, 1, 7, 2]]
    for recipe in PADDED:
        assert_close(run(recipe, spec, weights, texts)[1], reference.run(spec, weights, texts).sentence_embedding)


@pytest.mark.parametrize("kind", ["bert", "ropebert"])
def test_ort_has_the_fused_nodes_that_the_spec_calls_for(make_checkpoint: MakeCheckpoint, kind: str) -> None:
    spec, weights = load(make_checkpoint(kind))
    counts = ort.fused_counts(ort.build(spec, weights))
    assert counts == ort.expected_counts(spec)
    rotary = {"RotaryEmbedding": 4} if kind == "ropebert" else {}
    assert counts == {"MultiHeadAttention": 2, "SkipLayerNormalization": 4, "BiasGelu": 2} | rotary


def test_portable_has_standard_operators_only_and_reads_every_initialiser(make_checkpoint: MakeCheckpoint) -> None:
    spec, weights = load(make_checkpoint())
    graph = targets.build(PORTABLE_FP32, spec, weights, "embedding").graph
    assert {node.domain for node in graph.node} == {""}
    read = set(itertools.chain.from_iterable(node.input for node in graph.node))
    assert {tensor.name for tensor in graph.initializer} <= read
    assert [value.name for value in graph.input] == ["input_ids", "attention_mask"]
    assert [value.name for value in graph.output] == ["token_embeddings", "sentence_embedding", "last_hidden_state"]
