"""Which tokens a cut leaves, and that a text of such tokens is read as before, for every kind of tokenizer."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, processors

from strizh.export.parity import parity_texts
from strizh.export.vocabulary.tokenizer_json import TokenizerFile
from strizh.runtime.errors import UnsupportedModel

TINY = Path(__file__).parents[2] / "data/rope-e5-tiny-ru/tokenizer.json"
KINDS = ["unigram", "word-piece", "byte-level", "embedded"]
WORDS = sorted({word for text in parity_texts() for word in text.split()})
TEXTS = st.lists(st.sampled_from(WORDS) | st.text("стрижSwift 12.,猫", max_size=6), min_size=1, max_size=8).map(" ".join)


Cutting = tuple[TokenizerFile, Tokenizer]


@pytest.fixture(params=KINDS, scope="module")
def cutting(request: pytest.FixtureRequest, train_tokenizer: Callable[..., Tokenizer]) -> Cutting:
    """A tokenizer of each kind, as a file and to run; the embedded checkpoint's is XLM-R's with its normaliser."""
    if request.param == "embedded":
        whole = Tokenizer.from_file(str(TINY))
    else:
        whole = train_tokenizer(request.param)
        whole.add_special_tokens(["<mask>"])
    return TokenizerFile(whole.to_str()), whole


def cut(file: TokenizerFile, kept: set[int]) -> tuple[np.ndarray, Tokenizer]:
    """The ids that are left, and the tokenizer of them."""
    order = sorted(file.closed(file.always() | kept))
    return np.array(order), Tokenizer.from_str(file.cut({old: new for new, old in enumerate(order)}))


@settings(deadline=None, max_examples=60)
@given(corpus=st.lists(TEXTS, max_size=6), texts=st.lists(TEXTS, min_size=1, max_size=6))
def test_a_text_of_kept_tokens_is_read_as_before_and_none_becomes_unknown(
    cutting: Cutting, corpus: list[str], texts: list[str]
) -> None:
    file, whole = cutting
    order, small = cut(file, {token for text in corpus for token in whole.encode(text).ids})
    unknown = {whole.token_to_id("<unk>"), whole.token_to_id("[UNK]")} - {None}
    for text in [*corpus, *texts, "<mask>", ""]:
        before, after = whole.encode(text).ids, order[small.encode(text).ids].tolist()
        if set(before) <= set(order.tolist()):
            assert after == before
        assert bool(unknown & set(after)) == bool(unknown & set(before))


def test_the_texts_of_a_corpus_are_cut_for_and_others_change(cutting: Cutting) -> None:
    file, whole = cutting
    english = [text for text in parity_texts() if text.isascii()]
    russian = [text for text in parity_texts() if not text.isascii()]
    order, small = cut(file, {token for text in russian for token in whole.encode(text).ids})
    assert len(order) < whole.get_vocab_size()
    assert all(order[small.encode(text).ids].tolist() == whole.encode(text).ids for text in russian)
    assert any(order[small.encode(text).ids].tolist() != whole.encode(text).ids for text in english)


def test_every_id_of_the_file_is_the_new_one(cutting: Cutting) -> None:
    file, whole = cutting
    order, small = cut(file, set())
    assert small.get_vocab() == {whole.id_to_token(old): new for new, old in enumerate(order.tolist())}
    assert order.tolist() == sorted(order) and len(order) < whole.get_vocab_size()
    assert small.encode("<mask>").tokens[1:-1] == ["<mask>"], "an added token behind all others moves"
    first, last = small.encode("").ids
    assert [small.id_to_token(first), small.id_to_token(last)] == [whole.id_to_token(id) for id in whole.encode("").ids]


def test_what_a_language_reads_stays(cutting: Cutting) -> None:
    file, whole = cutting
    order, _ = cut(file, file.readable(lambda text: "a" not in text and "о" not in text))
    gone = set(range(whole.get_vocab_size())) - set(order.tolist())
    texts = [whole.decode([token]) for token in gone]
    assert texts and all("a" in text or "о" in text for text in texts)


def test_bytes_and_the_price_of_the_unknown_stay() -> None:
    vocab = [("<unk>", 0.0), ("a", -3.0), ("b", -4.0), ("ab", -5.0), ("cb", -6.0), ("ba", -30.0), ("<0x41>", -1.0)]
    model = models.Unigram(vocab, unk_id=0, byte_fallback=True)
    order, small = cut(TokenizerFile(Tokenizer(model).to_str()), set())
    # "cb" because nothing else has a c, "ba" because the price of the unknown is ten below the lowest score.
    assert order.tolist() == [0, 1, 2, 4, 5, 6]
    assert small.get_vocab()["<0x41>"] == 5


def test_a_word_piece_stays_that_nothing_else_could_spell() -> None:
    vocab = {"[UNK]": 0, "a": 1, "##b": 2, "ab": 3, "ax": 4, "##bb": 5}
    order, small = cut(TokenizerFile(Tokenizer(models.WordPiece(vocab, unk_token="[UNK]")).to_str()), set())
    assert order.tolist() == [0, 1, 2, 4]
    assert small.encode("ab").tokens == ["a", "##b"] and small.encode("ax").tokens == ["ax"]


def test_rules_are_followed_to_the_alphabet() -> None:
    vocab = {"a": 0, "b": 1, "c": 2, "ab": 3, "bc": 4, "abc": 5, "cc": 6}
    merges = [("b", "c"), ("a", "b"), ("ab", "c"), ("a", "bc"), ("c", "c")]
    order, small = cut(TokenizerFile(Tokenizer(models.BPE(vocab, merges)).to_str()), {5})
    assert order.tolist() == [0, 1, 2, 3, 4, 5], "both ways of making abc, and what they need"
    assert small.encode("abc").tokens == ["abc"] and small.encode("cc").tokens == ["c", "c"]


def test_what_is_put_around_a_text_stays_though_the_file_lists_no_added_token() -> None:
    tokenizer = Tokenizer(models.WordPiece({"[UNK]": 0, "a": 1, "##b": 2, "ab": 3, "abb": 4}, unk_token="[UNK]"))
    tokenizer.post_processor = processors.TemplateProcessing(single="ab $A", special_tokens=[("ab", 3)])
    order, small = cut(TokenizerFile(tokenizer.to_str()), set())
    assert order.tolist() == [0, 1, 2, 3]
    assert small.encode("a").tokens == ["ab", "a"]


@pytest.mark.parametrize("kind", ["BertProcessing", "RobertaProcessing"])
def test_older_post_processors_are_renumbered(kind: str) -> None:
    vocab = {"[UNK]": 0, "b": 1, "ab": 2, "a": 3, "[CLS]": 4, "[SEP]": 5}
    tokenizer = json.loads(Tokenizer(models.WordPiece(vocab | {"##b": 6}, unk_token="[UNK]")).to_str())
    sides = {"type": kind, "sep": ["[SEP]", 5], "cls": ["[CLS]", 4]}
    extra = {"trim_offsets": True, "add_prefix_space": False} if kind == "RobertaProcessing" else {}
    tokenizer["post_processor"] = {"type": "Sequence", "processors": [sides | extra]}
    _, small = cut(TokenizerFile(json.dumps(tokenizer)), set())
    assert small.encode("a").tokens == ["[CLS]", "a", "[SEP]"]
    assert small.encode("a").ids == [small.token_to_id(token) for token in ("[CLS]", "a", "[SEP]")] == [3, 2, 4]


def test_what_cannot_be_cut_says_so() -> None:
    words = Tokenizer(models.WordLevel({"a": 0, "<unk>": 1}, unk_token="<unk>")).to_str()
    with pytest.raises(UnsupportedModel, match="of kind 'WordLevel'; a vocabulary of Unigram, WordPiece, BPE can be cut"):
        TokenizerFile(words)
    odd = json.loads(Tokenizer(models.BPE({"a": 0}, [])).to_str()) | {"post_processor": {"type": "Odd"}}
    with pytest.raises(UnsupportedModel, match="post-processor is of kind 'Odd'"):
        TokenizerFile(json.dumps(odd)).cut({0: 0})
