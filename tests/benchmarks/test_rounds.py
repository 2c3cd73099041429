"""How many rounds a case is given, and which turns count."""

import pytest

from benchmarks import rounds
from benchmarks.engines import Batch
from benchmarks.quiet import Watch
from benchmarks.workloads import equal


class Clock:
    """A worker whose every call takes a tenth of a second, and that says how often it was asked."""

    pid = 1
    fresh = False

    def __init__(self) -> None:
        self.asked = 0

    def load(self, texts: object) -> None: ...

    def shed(self) -> None: ...

    def time(self, batch_size: int | None, seconds: float) -> dict[str, object]:
        self.asked += 1
        return {"seconds": [0.1], "cpu_seconds": 0.1}


def entries(count: int) -> list[rounds.Entry]:
    return [rounds.Entry(Clock(), equal(1, 16), None, estimate=1.0) for _ in range(count)]  # type: ignore[arg-type]


def verdicts(monkeypatch: pytest.MonkeyPatch, *disturbed: int) -> None:
    """Let the turns of these numbers, counted from 0 over everyone, be thrown away."""
    turn = iter(range(1000))
    monkeypatch.setattr(Watch, "verdict", lambda *_: "a neighbour" if next(turn) in disturbed else "")


def test_a_quiet_machine_gives_the_rounds_that_were_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    verdicts(monkeypatch)
    both = entries(2)
    assert rounds.measure(both, lambda case: Batch([]), rounds.Method(rounds=4), lambda line: None) == []
    assert [[one["number"] for one in entry.rounds] for entry in both] == [[1, 2, 3, 4]] * 2


def test_contenders_that_share_too_few_rounds_get_more(monkeypatch: pytest.MonkeyPatch) -> None:
    verdicts(monkeypatch, 0, 3)  # the first of both in round 1, the second of both in round 2
    both = entries(2)
    method = rounds.Method(rounds=3, attempts=1)
    thrown = rounds.measure(both, lambda case: Batch([]), method, lambda line: None)
    assert [[one["number"] for one in entry.rounds] for entry in both] == [[2, 3, 4, 5], [1, 3, 4, 5]]
    assert len(thrown) == 2


def test_a_machine_that_is_never_quiet_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    verdicts(monkeypatch, *range(1000))
    both = entries(2)
    method = rounds.Method(rounds=2, attempts=1)
    thrown = rounds.measure(both, lambda case: Batch([]), method, lambda line: None)
    assert [entry.rounds for entry in both] == [[], []]
    assert len(thrown) == 2 * 2 * method.most
