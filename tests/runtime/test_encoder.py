"""What `load(...).encode(...)` promises its caller, on a model whose vectors are known: means of word vectors."""

import pickle
import threading
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import strizh
from strizh.runtime.batching import PackedBatch
from strizh.runtime.errors import TextError, TruncationWarning, UsageError
from strizh.runtime.manifest import Variant

MakeBundle = Callable[..., Path]


@pytest.fixture
def encoder(make_bundle: MakeBundle) -> Iterator[strizh.Encoder]:
    with strizh.load(make_bundle()) as encoder:
        yield encoder


@pytest.fixture
def mean(tiny: SimpleNamespace) -> Callable[..., np.ndarray]:
    """Vector of words between <s> and </s>, float64."""
    table = tiny.word_table().astype(np.float64)
    return lambda *words: table[[0, *(tiny.VOCABULARY[word] for word in words), 2]].mean(axis=0)


def test_vectors_are_the_graphs_in_the_callers_order(encoder: strizh.Encoder, mean: Callable[..., np.ndarray]) -> None:
    texts = ["the swift flies", "стриж", "a b c a b c", "летит быстрее"]
    vectors = encoder.encode(texts)
    assert vectors.dtype == np.float32
    assert vectors.shape == (4, encoder.dimension)
    wanted = [mean(*text.split()) for text in texts]
    # A sum of at most 8 floats and one division.
    np.testing.assert_allclose(vectors, wanted, atol=10 * np.finfo(np.float32).eps * np.abs(wanted).max())


def test_shapes_of_one_text_and_of_none(encoder: strizh.Encoder) -> None:
    assert encoder.encode("стриж").shape == (encoder.dimension,)
    assert encoder.encode([]).shape == (0, encoder.dimension)
    assert encoder.encode([], truncate_dim=3).shape == (0, 3)
    np.testing.assert_array_equal(encoder.encode("стриж"), encoder.encode(["стриж"])[0])


@pytest.mark.parametrize("make", [tuple, iter, np.array, lambda texts: (text for text in texts)])
def test_any_iterable_of_strings_will_do(encoder: strizh.Encoder, make: Callable[[list[str]], object]) -> None:
    texts = ["the swift", "стриж летит", "a"]
    np.testing.assert_array_equal(encoder.encode(make(texts)), encoder.encode(texts))  # type: ignore[arg-type]


def test_many_small_batches_give_the_same_vectors(make_bundle: MakeBundle) -> None:
    folder = make_bundle()
    texts = [" ".join(["a"] * (number % 9)) for number in range(200)]
    with strizh.load(folder) as whole, strizh.load(folder, max_batch_tokens=12) as cut:
        np.testing.assert_allclose(cut.encode(texts), whole.encode(texts), atol=1e-6)
        pieces = list(cut.encode_stream(texts))
        assert len(pieces) > 1
        np.testing.assert_array_equal(np.concatenate([piece.embeddings for piece in pieces]), cut.encode(texts))
        assert sum(piece.tokens for piece in pieces) == sum(number % 9 + 2 for number in range(200))


def test_stream_reads_its_texts_only_a_little_ahead(make_bundle: MakeBundle) -> None:
    taken = 0

    def endless() -> Iterator[str]:
        nonlocal taken
        while True:
            taken += 1
            yield "the swift flies"

    with strizh.load(make_bundle(), max_batch_tokens=12) as encoder:
        stream = encoder.encode_stream(endless())
        first = next(stream)
        assert taken <= 3 * len(first.embeddings)
        next(stream)
        stream.close()  # type: ignore[attr-defined]
        assert taken <= 4 * len(first.embeddings)
        assert not [thread for thread in threading.enumerate() if thread.name.startswith("strizh-tokenizer")]


def test_a_text_without_tokens_is_the_zero_vector(make_bundle: MakeBundle, tiny: SimpleNamespace) -> None:
    bare = tiny.word_tokenizer(special_tokens=False)
    for normalize in (False, True):
        with strizh.load(make_bundle(tokenizer=bare, normalize=normalize)) as encoder:
            vectors = encoder.encode(["", "a", "   ", "\n"], truncate_dim=4)
            assert not vectors[[0, 2, 3]].any()
            assert vectors[1].any()
            assert not encoder.encode("").any()
            assert not encoder.encode([""], overflow="split").any()


def test_prompts(make_bundle: MakeBundle) -> None:
    with strizh.load(make_bundle(default_prompt_name="query")) as encoder:
        asked = encoder.encode("query: стриж", prompt="")
        np.testing.assert_array_equal(encoder.encode("стриж"), asked)
        np.testing.assert_array_equal(encoder.encode("стриж", prompt_name="query"), asked)
        np.testing.assert_array_equal(encoder.encode("стриж", prompt="query: ", prompt_name="passage"), asked)
        assert (encoder.encode("стриж", prompt_name="passage") != asked).any()
        assert encoder.tokenize("стриж", prompt="").input_ids.tolist() == [0, 4, 2]
        with pytest.raises(UsageError, match="'nonsense', this bundle has 'query', 'passage'"):
            encoder.encode("стриж", prompt_name="nonsense")


def test_normalisation(make_bundle: MakeBundle) -> None:
    texts = ["the swift", "стриж летит", "a"]
    with strizh.load(make_bundle()) as raw, strizh.load(make_bundle(normalize=True)) as unit:
        scaled = raw.encode(texts) / np.linalg.norm(raw.encode(texts), axis=1, keepdims=True)
        np.testing.assert_allclose(raw.encode(texts, normalize_embeddings=True), scaled, atol=1e-6)
        np.testing.assert_allclose(unit.encode(texts), scaled, atol=1e-6)
        np.testing.assert_array_equal(unit.encode(texts, normalize_embeddings=True), unit.encode(texts))
        np.testing.assert_array_equal(raw.encode(texts, normalize_embeddings=False), raw.encode(texts))
        with pytest.raises(UsageError, match="--no-normalize"):
            unit.encode(texts, normalize_embeddings=False)


def test_truncated_vectors_are_unit_again_if_they_were(make_bundle: MakeBundle) -> None:
    texts = ["the swift", "стриж летит", "a"]
    with strizh.load(make_bundle()) as raw, strizh.load(make_bundle(normalize=True)) as unit:
        np.testing.assert_array_equal(raw.encode(texts, truncate_dim=3), raw.encode(texts)[:, :3])
        wanted = raw.encode(texts)[:, :3] / np.linalg.norm(raw.encode(texts)[:, :3], axis=1, keepdims=True)
        np.testing.assert_allclose(unit.encode(texts, truncate_dim=3), wanted, atol=1e-6)
        np.testing.assert_allclose(raw.encode(texts, truncate_dim=3, normalize_embeddings=True), wanted, atol=1e-6)
        for wrong in (0, 9, -1, 2.5):
            with pytest.raises(UsageError, match="expected 1 to 8"):
                raw.encode("a", truncate_dim=wrong)  # type: ignore[arg-type]


LONG = "a b c " * 10  # 30 words, 10 fit between <s> and </s>


def test_truncation_is_counted_and_warned_of(encoder: strizh.Encoder, mean: Callable[..., np.ndarray]) -> None:
    with pytest.warns(TruncationWarning, match=r"1 of 2 texts are longer than 12 tokens.* last 20 tokens") as caught:
        vectors = encoder.encode(["стриж", LONG])
    assert caught[0].filename == __file__  # the caller's line, not one of ours
    np.testing.assert_allclose(vectors[1], mean(*LONG.split()[:10]), atol=1e-6)
    with pytest.raises(UsageError, match=r"text 1 has .* limit is 12"):
        encoder.encode(["стриж", LONG], overflow="error")
    with pytest.raises(TextError, match=r"text 9000 has .* limit is 12"):  # windows later
        encoder.encode([*["a" + " " * 90] * 9000, LONG], overflow="error")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        (piece,) = encoder.encode_stream(["стриж", LONG])
        assert (piece.truncated, piece.dropped, piece.tokens) == (1, 20, 3 + 12)
        encoder.encode(["стриж", "a b c"])
        encoder.encode(LONG, overflow="split")


def test_split_is_the_token_weighted_mean_over_windows(
    encoder: strizh.Encoder, make_bundle: MakeBundle, mean: Callable[..., np.ndarray]
) -> None:
    words = LONG.split()[:23]
    windows = [words[:10], words[10:20], words[20:]]
    wanted = np.average([mean(*window) for window in windows], axis=0, weights=[len(window) + 2 for window in windows])
    short, split = encoder.encode(["стриж", " ".join(words)], overflow="split")
    np.testing.assert_allclose(split, wanted, atol=1e-6)
    np.testing.assert_allclose(short, mean("стриж"), atol=1e-6)
    with strizh.load(make_bundle(normalize=True)) as unit:
        assert np.linalg.norm(unit.encode(" ".join(words), overflow="split")) == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (["a", 3], "text 1 is of type int, expected a string"),
        ([None], "text 0 is of type NoneType"),
        ([b"a"], "text 0 is of type bytes"),
        (b"a", "texts is of type bytes"),
        (7, "texts is of type int"),
        (["a"] * 300 + ["x\ud800y"], r"text 300 holds the lone surrogate U\+D800 at character 1"),
        ([["a", "b"]], "text 0 is of type list"),
        ({"a": 1}, "texts is of type dict"),
        ([("a", "b")], "text 0 is of type tuple"),
    ],
)
def test_what_is_no_text_is_refused_in_one_line(encoder: strizh.Encoder, texts: object, message: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        encoder.encode(texts)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)
    if isinstance(texts, list):
        with pytest.raises(UsageError, match=message):
            encoder.encode(texts, prompt="query: ")


@pytest.mark.parametrize("text", ["", "   ", "\0", "a\0b", "\n\t\u00a0", "\U0010ffff", "a" * 10, "\u202e"])
def test_odd_texts_are_texts(encoder: strizh.Encoder, text: str) -> None:
    assert np.isfinite(encoder.encode(text)).all()


def test_a_megabyte_is_a_text(encoder: strizh.Encoder) -> None:
    megabyte = "стриж летит " * 48_000
    assert len(megabyte.encode()) > 1_000_000
    with pytest.warns(TruncationWarning):
        assert np.isfinite(encoder.encode(megabyte)).all()
    pooled = encoder.encode([megabyte, "a"], overflow="split")
    assert np.isfinite(pooled).all()


def test_wrong_options_are_named(make_bundle: MakeBundle, encoder: strizh.Encoder) -> None:
    with pytest.raises(UsageError, match="overflow is 'cut'"):
        encoder.encode("a", overflow="cut")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="prompt is of type int"):
        encoder.encode("a", prompt=3)  # type: ignore[arg-type]
    for name in ("threads", "max_batch_tokens"):
        for wrong in (0, -1, 2.5, "8", True):
            with pytest.raises(UsageError, match=f"{name} is"):
                strizh.load(make_bundle(), **{name: wrong})  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="threads is 100000, expected at most 1024"):
        strizh.load(make_bundle(), threads=100_000)
    with pytest.raises(UsageError, match="variant is 'cpu-bf16', this bundle has portable-fp32"):
        strizh.load(make_bundle(), "cpu-bf16")
    with (
        strizh.load(make_bundle(), max_batch_tokens=8) as small,
        pytest.raises(UsageError, match="max_batch_tokens=12"),
    ):
        small.encode(["a " * 10])


def test_classify(make_bundle: MakeBundle, tiny: SimpleNamespace, encoder: strizh.Encoder) -> None:
    with pytest.raises(UsageError, match="no classifier"):
        encoder.classify("a")
    variant = Variant("onnx/model.onnx", "portable", "fp32", classifier="onnx/classifier.onnx")
    folder = make_bundle(
        classifier=tiny.mean_graph(labels=2), labels=("bird", "plane"), variants={"portable-fp32": variant}
    )
    with strizh.load(folder) as classifier:
        assert classifier.labels == ("bird", "plane")
        logits = classifier.classify(["стриж", "the swift flies"])
        np.testing.assert_allclose(logits, classifier.encode(["стриж", "the swift flies"])[:, :2], atol=1e-6)
        assert classifier.classify("стриж").shape == (2,)
        assert classifier.classify([]).shape == (0, 2)
        with pytest.warns(TruncationWarning):
            classifier.classify(LONG)


def test_explain_names_what_runs_and_what_does_not(make_bundle: MakeBundle) -> None:
    both = {
        "portable-fp32": Variant("onnx/model.onnx", "portable", "fp32"),
        "cuda-fp16": Variant("onnx/model.onnx", "cuda", "fp16"),
        "portable-int8": Variant("onnx/model.onnx", "portable", "int8"),
    }
    with strizh.load(make_bundle(variants=both), threads=1, providers=["CPUExecutionProvider"]) as encoder:
        lines = encoder.explain().splitlines()
        assert lines[0].startswith("portable-fp32: ")
        assert lines[1].startswith("not cuda-fp16: it needs CUDAExecutionProvider")
        assert lines[2] == "not portable-int8: it is chosen by name only"
        assert lines[3] == "threads: 1, providers: CPUExecutionProvider"


def test_pickles_as_its_path_and_options(encoder: strizh.Encoder, make_bundle: MakeBundle) -> None:
    with strizh.load(make_bundle(), threads=1, max_batch_tokens=64) as original:
        data = pickle.dumps(original)
        assert len(data) < 1000
        with pickle.loads(data) as copy:
            np.testing.assert_array_equal(copy.encode(["стриж"]), original.encode(["стриж"]))
            assert copy.explain() == original.explain()


def test_closed_is_closed(make_bundle: MakeBundle) -> None:
    encoder = strizh.load(make_bundle())
    encoder.close()
    encoder.close()
    with pytest.raises(UsageError, match="closed"):
        encoder.encode("a")


def test_threads_may_share_an_encoder(make_bundle: MakeBundle) -> None:
    texts = [" ".join(["стриж", "летит", "a", "b"][: 1 + number % 4]) for number in range(64)]
    with strizh.load(make_bundle(), max_batch_tokens=64) as encoder:
        wanted = encoder.encode(texts)
        results: list[np.ndarray] = []
        threads = [threading.Thread(target=lambda: results.append(encoder.encode(texts))) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(results) == 8
        for result in results:
            np.testing.assert_array_equal(result, wanted)


@pytest.mark.parametrize("texts", ["letters", b"bytes", None, 7, {"a": 1}])
def test_a_stream_of_letters_or_of_nothing_is_refused(encoder: strizh.Encoder, texts: object) -> None:
    with pytest.raises(UsageError, match="expected a list or another iterable of strings"):
        encoder.encode_stream(texts)  # type: ignore[arg-type]


def test_numbers_of_numpy_are_numbers(make_bundle: MakeBundle) -> None:
    with strizh.load(make_bundle(), threads=np.int64(1), max_batch_tokens=np.int32(64)) as encoder:  # type: ignore[arg-type]
        assert encoder.encode(["a"], truncate_dim=np.int64(3)).shape == (1, 3)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"prompt_name": ["query"]}, r"prompt_name is \['query'\], this bundle has"),
        ({"late_chunking": 5}, "late_chunking has 5 for 2 texts"),
        ({"late_chunking": [5, 6]}, "text 0 has the span 5"),
        ({"late_chunking": [[(0.0, 1.0)], []]}, "text 0 has the span"),
        ({"precision": "int8", "calibration_embeddings": [[1.0, 2.0], [3.0]]}, "calibration_embeddings are no array"),
        ({"precision": "binary", "truncate_dim": "8"}, "truncate_dim is '8', expected 1 to"),
        ({"precision": "int8", "calibration_embeddings": [["a"], ["b"]]}, "calibration_embeddings are of type"),
    ],
)
def test_options_of_a_wrong_type_are_one_line(encoder: strizh.Encoder, options: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        encoder.encode(["a", "b"], **options)  # type: ignore[arg-type]


def test_what_cannot_be_loaded_is_one_line(make_bundle: MakeBundle) -> None:
    with pytest.raises(UsageError, match="bundle is of type NoneType"):
        strizh.load(None)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="bundle is of type NoneType"):
        strizh.load(None, tuning="tuning.json")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="expected a list of names"):
        strizh.load(make_bundle(), providers="CPUExecutionProvider")
    with strizh.load(make_bundle()) as encoder, pytest.raises(UsageError, match="batch is of type list"):
        encoder.encode_tokens([[0, 4, 2]])  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="tuning is of type int"):
        strizh.load(make_bundle(), tuning=5)  # type: ignore[arg-type]


@pytest.mark.parametrize("ids", [[-1], [0, 4, 10**6], [2**31 - 1]])
def test_ids_that_the_model_does_not_know_are_refused(encoder: strizh.Encoder, ids: list[int]) -> None:
    with pytest.raises(UsageError, match=r"this model knows 0 to 17\. Tokenize with this bundle's tokenizer"):
        encoder.encode_tokens(PackedBatch.pack([[0, 2], ids]))


@pytest.mark.parametrize("texts", [None, ["ab"], [5], [[[1, 2]]], [[2**40]], [[2**70]], [[None]], [[1.5]]])
def test_what_is_no_list_of_ids_is_not_packed(texts: object) -> None:
    with pytest.raises(UsageError, match="no lists of token ids"):
        PackedBatch.pack(texts)  # type: ignore[arg-type]
