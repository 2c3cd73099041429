"""The texts that everything is measured on: their lengths, their ids, and that they never change between engines."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.workloads import (
    Case,
    documents,
    equal,
    passage_lengths,
    queries,
    ragged,
    ragged_lengths,
    ragged_mean,
    real_strings,
    sentences,
    vocabulary,
)

lengths = st.lists(st.integers(2, 300), min_size=1, max_size=20).map(tuple)


@given(lengths, st.integers(6, 300_000))
def test_ids_have_the_lengths_and_the_layout(lengths: tuple[int, ...], vocab_size: int) -> None:
    texts = Case("any", lengths, "tokens/s").token_ids(vocab_size)
    assert tuple(map(len, texts)) == lengths
    for ids in texts:
        assert ids.dtype == np.int32
        assert (ids[0], ids[-1]) == (0, 2)
        assert ((ids[1:-1] >= 5) & (ids[1:-1] < vocab_size)).all()


def test_every_engine_gets_the_same_ids_and_every_case_its_own() -> None:
    first, again = (np.concatenate(equal(4, 64).token_ids(1000)) for _ in range(2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, np.concatenate(equal(2, 128).token_ids(1000)))


def test_passages_have_the_histogram_they_stand_for() -> None:
    drawn = np.array(passage_lengths(6187))
    for share, tokens in ((50, 31), (90, 214), (99, 1609)):
        assert np.percentile(drawn, share) == pytest.approx(tokens, rel=0.03)
    assert drawn.min() >= 4
    assert drawn.max() <= 3033


def test_ragged_is_cut_and_its_equal_twin_has_the_same_mean() -> None:
    drawn = ragged_lengths()
    assert len(drawn) == 64
    assert min(drawn) >= 4
    assert max(drawn) <= 512
    assert np.std(drawn) > 0.5 * np.mean(drawn), "lengths that hardly differ would try no padding"
    assert abs(sum(ragged_mean().lengths) - sum(ragged().lengths)) <= 32  # half a token a text is lost in rounding


def test_queries_are_short_and_documents_are_long() -> None:
    asked, long = queries().lengths, documents().lengths
    assert np.median(asked) == pytest.approx(9, abs=1)
    assert max(asked) <= 32 < 512 <= min(long)


def test_real_texts_are_drawn_alike_every_time_and_stand_under_the_prompt() -> None:
    given_texts = [f"text {number}" for number in range(1000)]
    case = real_strings(given_texts, "passage: ")
    assert case == real_strings(given_texts, "passage: ")
    assert len(set(case.strings)) == case.count == 64
    assert {text.removeprefix("passage: ") for text in case.strings} < set(given_texts)


def test_sentences_have_the_words_asked_for_and_no_others() -> None:
    texts = sentences(50, (1, 5, 40))
    assert [len(text.split()) for text in texts] == [(1, 5, 40)[i % 3] for i in range(50)]
    assert texts == sentences(50, (1, 5, 40))
    words = {word.strip(".,").lower() for text in texts for word in text.split()}
    assert words <= set(vocabulary())
