"""Every text is in one batch, and no batch is above its ceilings."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from strizh.runtime.batching import DEFAULT_MAX_BATCH_TOKENS, Budget, PackedBatch
from strizh.runtime.errors import UsageError

LENGTHS = st.lists(st.integers(0, 60), max_size=80)


@given(LENGTHS, st.integers(60, 200), st.booleans(), st.one_of(st.none(), st.integers(1, 300)))
def test_batches_cover_all_texts_and_keep_the_budget(
    sizes: list[int], max_tokens: int, padded: bool, enough: int | None
) -> None:
    lengths = np.array(sizes, np.int32)
    budget = Budget(max_tokens, padded, enough)
    batches = list(budget.cut(lengths))
    rows = np.concatenate([np.empty(0, np.intp), *batches])
    assert sorted(rows) == np.flatnonzero(lengths).tolist()
    for batch in batches:
        longest, total = lengths[batch].max(), lengths[batch].sum()
        assert (len(batch) * longest if padded else total) <= max_tokens
        assert not padded or len(batch) * longest**2 <= budget.max_cells
        assert len(batch) == 1 or enough is None or total <= enough


@given(LENGTHS, st.integers(60, 200), st.booleans())
def test_no_batch_could_have_held_the_next_text(sizes: list[int], max_tokens: int, padded: bool) -> None:
    lengths = np.array(sizes, np.int32)
    batches = list(Budget(max_tokens, padded).cut(lengths))
    for batch, following in itertools.pairwise(batches):
        more = [*batch, following[0]]
        taken = len(more) * lengths[more].max() if padded else lengths[more].sum()
        cells = len(more) * lengths[more].max() ** 2
        assert taken > max_tokens or (padded and cells > Budget(max_tokens, padded).max_cells)


def test_neighbours_in_length_share_a_batch() -> None:
    lengths = np.random.default_rng(0).permutation(np.repeat(np.arange(1, 101, dtype=np.int32), 20))
    padded = sum(len(rows) * lengths[rows].max() for rows in Budget(1000, True).cut(lengths))
    assert padded < 1.1 * lengths.sum()


def test_default_ceiling_takes_one_text_of_4096_tokens_and_names_the_cpu_variants_beyond() -> None:
    budget = Budget(DEFAULT_MAX_BATCH_TOKENS, padded=True)
    assert [len(rows) for rows in budget.cut(np.full(2, 4096, np.int32))] == [1, 1]
    with pytest.raises(UsageError, match="cpu-bf16") as caught:
        list(budget.cut(np.array([4097], np.int32)))
    raised = int(str(caught.value).split()[-1])
    assert len(list(Budget(raised, padded=True).cut(np.array([4097], np.int32)))) == 1
    assert len(list(Budget(DEFAULT_MAX_BATCH_TOKENS, padded=False).cut(np.array([8192], np.int32)))) == 1


@given(st.lists(st.lists(st.integers(0, 99), max_size=9), max_size=9), st.randoms())
def test_packing_keeps_every_text(texts: list[list[int]], random: object) -> None:
    packed = PackedBatch.pack(texts)
    assert packed.input_ids.dtype == packed.cu_seqlens.dtype == np.int32
    assert packed.lengths.tolist() == [len(text) for text in texts]
    assert packed.cu_seqlens[0] == 0
    assert packed.input_ids.tolist() == [token for text in texts for token in text]
    order = list(range(len(texts)))
    random.shuffle(order)  # type: ignore[attr-defined]
    taken = packed.take(np.array(order, np.intp))
    assert taken.input_ids.tolist() == [token for row in order for token in texts[row]]
    assert len(taken) == len(texts)


@pytest.mark.parametrize(
    ("input_ids", "cu_seqlens"),
    [
        ([1, 2, 3], np.array([0, 3], np.int32)),
        (np.array([1, 2, 3]), np.array([0, 3], np.int32)),
        (np.zeros((1, 3), np.int32), np.array([0, 3], np.int32)),
        *(
            (np.zeros(3, np.int32), np.array(ends, np.int32))
            for ends in ([], [0], [1, 3], [0, 4], [0, 2], [0, 3, 2, 3], [0, -1, 3])
        ),
    ],
)
def test_what_would_lead_an_operator_astray_is_no_batch(input_ids: object, cu_seqlens: object) -> None:
    with pytest.raises(UsageError, match="Make the batch with"):
        PackedBatch(input_ids, cu_seqlens)  # type: ignore[arg-type]
