"""Token rows as the model expects them, whatever the text and whatever `tokenizer.json` holds."""

import itertools
import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from tokenizers import Tokenizer as RustTokenizer

from strizh.runtime.errors import BundleError
from strizh.runtime.tokenization import Tokenizer

EMBEDDED = Path(__file__).parents[1] / "data/rope-e5-tiny-ru/tokenizer.json"
TEXTS = [
    "Стриж летит быстрее всех птиц.",
    "",
    " ",
    "Swifts sleep on the wing",
    "naïve ﬁ № ½ 🐦",
    "a\0b",
    "ещё\u0301 раз",
]


@pytest.fixture
def save(tmp_path: Path, tiny: SimpleNamespace) -> Callable[..., Path]:
    def save(tokenizer: RustTokenizer | None = None) -> Path:
        path = tmp_path / "tokenizer.json"
        (tokenizer or tiny.word_tokenizer()).save(str(path))
        return path

    return save


@pytest.mark.parametrize("prompt", ["", "query: "])
def test_ids_are_those_of_the_library_one_text_at_a_time(prompt: str) -> None:
    reference = RustTokenizer.from_file(str(EMBEDDED))
    rows = Tokenizer(EMBEDDED, 512).tokenize(TEXTS * 100, prompt).rows
    wanted = [reference.encode(prompt + text).ids for text in TEXTS]
    assert rows.lengths.tolist() == [len(ids) for ids in wanted] * 100
    assert rows.input_ids.tolist() == [token for ids in wanted for token in ids] * 100


def test_padding_and_truncation_of_the_file_do_not_count(save: Callable[..., Path], tiny: SimpleNamespace) -> None:
    tokenizer = tiny.word_tokenizer()
    tokenizer.enable_padding(length=30)
    tokenizer.enable_truncation(4)
    tokens = Tokenizer(save(tokenizer), 12).tokenize(["a b c a b c", "a"])
    assert tokens.rows.lengths.tolist() == [8, 3]
    assert (tokens.truncated, tokens.dropped) == (0, 0)


def test_the_side_that_the_file_cuts_is_kept(save: Callable[..., Path], tiny: SimpleNamespace) -> None:
    tokenizer = tiny.word_tokenizer()
    tokenizer.enable_truncation(4, direction="left")
    ids = Tokenizer(save(tokenizer), 5).tokenize(["a b c the swift"]).rows.input_ids
    assert ids.tolist() == [0, *(tiny.VOCABULARY[word] for word in ("c", "the", "swift")), 2]


@pytest.mark.parametrize("length", range(1, 26))
def test_windows_hold_every_token_once_between_special_tokens(save: Callable[..., Path], length: int) -> None:
    words = (["a", "b", "c", "the", "swift"] * 5)[:length]
    tokenizer = Tokenizer(save(), 7)
    whole = RustTokenizer.from_file(str(save())).encode(" ".join(words)).ids
    split = tokenizer.tokenize(["a", " ".join(words)], overflow="split")
    starts = split.rows.cu_seqlens
    windows = [split.rows.input_ids[a:b].tolist() for a, b in itertools.pairwise(starts)][1:]
    assert all(window[0] == 0 and window[-1] == 2 and len(window) <= 7 for window in windows)
    assert [token for window in windows for token in window[1:-1]] == whole[1:-1]
    assert split.owner.tolist() == [0] + [1] * -(-length // 5)
    assert (split.truncated, split.dropped) == (int(length > 5), 0)
    cut = tokenizer.tokenize(["a", " ".join(words)])
    assert (cut.truncated, cut.dropped) == (int(length > 5), max(0, length - 5))
    assert cut.rows.input_ids[3:].tolist() == windows[0]


def test_strings_that_are_more_than_strings(save: Callable[..., Path]) -> None:
    class Name(str):
        __slots__ = ()

    tokenizer = Tokenizer(save(), 12)
    plain = tokenizer.tokenize(["the swift"]).rows.input_ids
    for text in (np.str_("the swift"), Name("the swift")):
        np.testing.assert_array_equal(tokenizer.tokenize([text]).rows.input_ids, plain)
        np.testing.assert_array_equal(tokenizer.tokenize([text], prompt="a ").rows.input_ids[2:], plain[1:])


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[: len(text) // 2],
        lambda text: "",
        lambda text: "[]",
        lambda text: text.replace("WordLevel", "Telepathy"),
        lambda text: json.dumps({**json.loads(text), "version": "9.9"}),
    ],
    ids=["cut off", "empty", "another thing", "unknown model", "newer"],
)
def test_a_damaged_file_is_one_clear_error(save: Callable[..., Path], damage: Callable[[str], str]) -> None:
    path = save()
    path.write_text(damage(path.read_text(encoding="utf-8")), encoding="utf-8")
    with pytest.raises(BundleError, match=r"^tokenizer.json cannot be used: [^\n]+$"):
        Tokenizer(path, 12)


def test_a_limit_that_leaves_no_room_for_text_is_refused(save: Callable[..., Path]) -> None:
    with pytest.raises(BundleError, match="2 special tokens and max_length is 2"):
        Tokenizer(save(), 2)
