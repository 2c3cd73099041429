"""Short measurements of a bundle's variants: interleaved, with parity of the very vectors that were timed."""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np

from strizh.runtime.batching import PackedBatch
from strizh.runtime.encoder import Encoder
from strizh.runtime.errors import BundleError, DeviceError
from strizh.runtime.vectors import Float32

_ROUNDS = 5
_SAME_SPEED = 0.97  # within 3 % the thriftier setting is taken


@dataclass(frozen=True, slots=True)
class Case:
    """Texts that are encoded in one call."""

    name: str
    batch: PackedBatch


@dataclass(frozen=True, slots=True)
class Speed:
    """Seconds of one call: median and range over the rounds."""

    seconds: float
    low: float
    high: float


def cases(encoder: Encoder) -> tuple[Case, ...]:
    """One text of 16 tokens, one of 128, and 24 of mixed lengths (lognormal, 4 to 256); cut to what the model takes."""
    draw = np.random.default_rng(0)
    lengths = np.clip(np.exp(draw.normal(np.log(64), 1.0, 24)), 4, 256).astype(int)
    sets = {"1 x 16": [16], "1 x 128": [128], "24 mixed": lengths.tolist()}
    return tuple(Case(name, _texts(encoder, sizes, draw)) for name, sizes in sets.items())


def _texts(encoder: Encoder, lengths: Sequence[int], draw: np.random.Generator) -> PackedBatch:
    """Texts of these lengths: random pieces of our own words, between the tokens that the tokenizer puts around a text."""
    empty, words = (encoder.tokenize(texts, prompt="") for texts in ([""], _WORDS.split()))
    around, rows = empty.input_ids, np.split(words.input_ids, words.cu_seqlens[1:-1])
    opening = int(
        np.logical_and.accumulate(around == rows[0][: len(around)]).sum()
    )  # where the word stood between them
    first, last = around[:opening], around[opening:]
    pieces = np.concatenate([row[len(first) : len(row) - len(last)] for row in rows])
    if not len(pieces):
        raise BundleError(
            "the tokenizer makes no token of Russian or English words, so there are no texts to measure with"
        )
    limit = encoder.max_length
    return PackedBatch.pack(
        np.concatenate([first, draw.choice(pieces, min(length, limit) - len(around)), last]) for length in lengths
    )


def takers(encoders: Mapping[str, Encoder], case: Case) -> tuple[dict[str, Encoder], list[str]]:
    """The encoders that run a case, and a line for each that does not: engines take texts of their shapes only."""
    found, refused = {}, []
    for name, encoder in encoders.items():
        try:
            encoder.encode_tokens(case.batch)
        except DeviceError as error:
            refused.append(f"{name} on {case.name}: {error}")
        else:
            found[name] = encoder
    return found, refused


def time_interleaved(encoders: Mapping[str, Encoder], case: Case, seconds: float) -> dict[str, Speed]:
    """Each encoder in turn, round by round, `seconds` a turn: drift of the machine meets them all alike."""
    rounds: dict[str, list[float]] = {name: [] for name in encoders}
    for encoder in encoders.values():
        encoder.encode_tokens(case.batch)
    for _ in range(_ROUNDS):
        for name, encoder in encoders.items():
            rounds[name].append(median(_turn(encoder, case.batch, seconds)))
    return {name: Speed(median(found), min(found), max(found)) for name, found in rounds.items()}


def _turn(encoder: Encoder, batch: PackedBatch, seconds: float) -> Iterator[float]:
    started = last = time.perf_counter()
    while last - started < seconds:
        encoder.encode_tokens(batch)
        now = time.perf_counter()
        yield now - last
        last = now


def cosine_min(ours: Float32, exact: Float32) -> float:
    """Least cosine of a row with its row of `exact`."""
    left, right = (x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12) for x in (ours, exact))
    return float(1 - ((left.astype(np.float64) - right) ** 2).sum(axis=1).max() / 2)


def thriftiest(opened: Mapping[int, Encoder], case: Case, seconds: float) -> int:
    """The least setting whose encoder is as quick on `case` as the quickest of them."""
    found = time_interleaved({str(setting): encoder for setting, encoder in opened.items()}, case, seconds)
    best = min(speed.seconds for speed in found.values())
    return min(setting for setting in opened if found[str(setting)].seconds * _SAME_SPEED <= best)


_WORDS = """
стриж летит над городом быстрее ветра и почти никогда не садится на землю гнездо строит под крышами старых домов каждую
осень стая уходит на юг а весной возвращается к тем же окнам где выросли птенцы вопрос ответ документ договор оплата
расписание the swift sleeps in the air and never lands while its wings carry it over rivers fields roofs and towns again
"""
