"""Vectors of tokens, of words and of late chunks, on a model whose token vectors are its word table."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import strizh
from strizh.runtime.errors import TruncationWarning, UsageError

TEXT = "the swift flies. стриж летит"


@pytest.fixture
def rows(tiny: SimpleNamespace) -> Callable[..., np.ndarray]:
    """Table rows of words; a word that is not known is <unk>."""
    return lambda *words: tiny.word_table()[[tiny.VOCABULARY.get(word, 3) for word in words]]


def test_a_row_for_every_token(make_bundle: Callable[..., Path], rows: Callable[..., np.ndarray]) -> None:
    with strizh.load(make_bundle(default_prompt_name="query"), max_batch_tokens=12) as encoder:
        plain, short = encoder.encode_token_embeddings([TEXT, "стриж"], prompt="")
        words = ["<s>", "the", "swift", "flies", ".", "стриж", "летит", "</s>"]
        np.testing.assert_array_equal(plain.vectors, rows(*words))
        found = [TEXT[first:end] for first, end in plain.spans]
        assert found == ["", *words[1:-1], ""]
        np.testing.assert_array_equal(short.vectors, rows("<s>", "стриж", "</s>"))
        prompted = encoder.encode_token_embeddings([TEXT])[0]
        np.testing.assert_array_equal(prompted.vectors, rows("<s>", "query", ":", *words[1:]))
        assert [TEXT[first:end] for first, end in prompted.spans] == ["", "", "", *words[1:-1], ""]


def test_a_row_for_every_word(make_bundle: Callable[..., Path], rows: Callable[..., np.ndarray]) -> None:
    with strizh.load(make_bundle()) as encoder:
        one, empty, other = encoder.encode_token_embeddings([["swift.", "", "стриж"], [], "a"])
        wanted = [rows("swift", ".").mean(axis=0), np.zeros(encoder.dimension), rows("стриж")[0]]
        np.testing.assert_allclose(one.vectors, wanted, atol=1e-6)
        assert empty.vectors.shape == (0, encoder.dimension)
        assert empty.spans.shape == (0, 2)
        np.testing.assert_array_equal(other.vectors, rows("<s>", "a", "</s>"))
        with pytest.warns(TruncationWarning, match="last 5 tokens"):
            (cut,) = encoder.encode_token_embeddings([["a"] * 15])
        assert cut.vectors[:10].any(axis=1).all()
        assert not cut.vectors[10:].any()
        (windows,) = encoder.encode_token_embeddings([["a"] * 15], overflow="split")
        np.testing.assert_array_equal(windows.vectors, np.repeat(rows("a"), 15, axis=0))
        for wrong in ("стриж", b"a", 7):
            with pytest.raises(UsageError, match="texts is of type"):
                encoder.encode_token_embeddings(wrong)  # type: ignore[arg-type]
        with pytest.raises(UsageError, match="a text is of type int"):
            encoder.encode_token_embeddings(["a", 7])  # type: ignore[list-item]


def test_late_chunks_are_means_over_their_tokens(
    make_bundle: Callable[..., Path], rows: Callable[..., np.ndarray]
) -> None:
    spans = [(0, 16), (16, len(TEXT))]
    wanted = np.stack([rows("the", "swift", "flies", ".").mean(axis=0), rows("стриж", "летит").mean(axis=0)])
    with strizh.load(make_bundle()) as raw, strizh.load(make_bundle(normalize=True)) as unit:
        found = raw.encode(TEXT, late_chunking=spans)
        np.testing.assert_allclose(found, wanted, atol=1e-6)
        np.testing.assert_allclose(raw.encode(TEXT, prompt="query: ", late_chunking=spans), wanted, atol=1e-6)
        several = raw.encode([TEXT, "a", TEXT], late_chunking=[spans[1:], [], spans])
        np.testing.assert_allclose(several, np.concatenate([wanted[1:], wanted]), atol=1e-6)
        scaled = wanted / np.linalg.norm(wanted, axis=1, keepdims=True)
        np.testing.assert_allclose(unit.encode(TEXT, late_chunking=spans), scaled, atol=1e-6)
        short = raw.encode(TEXT, late_chunking=spans, truncate_dim=3, normalize_embeddings=True)
        np.testing.assert_allclose(np.linalg.norm(short, axis=1), 1, atol=1e-6)
        long = "a b c " * 10
        chunks = [(0, 6), (0, len(long))]
        wanted = np.stack([rows("a", "b", "c").mean(axis=0)] * 2)
        np.testing.assert_allclose(raw.encode(long, late_chunking=chunks, overflow="split"), wanted, atol=1e-6)
        with pytest.warns(TruncationWarning):
            assert not raw.encode(long, late_chunking=[(len(long) - 6, len(long))]).any()


def test_wrong_spans_and_models_are_refused(make_bundle: Callable[..., Path]) -> None:
    with strizh.load(make_bundle()) as encoder:
        with pytest.raises(UsageError, match=r"text 0 has the span \(0, 99\), expected first and end within its 28"):
            encoder.encode(TEXT, late_chunking=[(0, 99)])
        with pytest.raises(UsageError, match="2 lists of spans for 1 texts"):
            encoder.encode([TEXT], late_chunking=[[(0, 1)], [(1, 2)]])
        with pytest.raises(UsageError, match="no sparse weights"):
            encoder.encode_sparse(["a"])
        with pytest.raises(UsageError, match="no ColBERT vectors"):
            encoder.encode_multi_vector(["a"])
    with strizh.load(make_bundle(pooling="cls")) as encoder, pytest.raises(UsageError, match=r"mean pooling.* has cls"):
        encoder.encode(TEXT, late_chunking=[(0, 3)])
