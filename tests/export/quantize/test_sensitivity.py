"""The least of the model stays in float, and of it what the missed texts suffer from."""

from collections.abc import Sequence

import numpy as np
import pytest

from strizh.export.quantize.sensitivity import Cosines, least_kept
from strizh.export.quantize.site import PerRow, Site
from strizh.export.recipes import Promise

TEXTS = 40
SIZE = {"a": 1, "b": 1, "c": 1, "d": 4, "e": 1}
LOSS = {name: np.full(TEXTS, loss) for name, loss in (("a", 1e-5), ("b", 4e-4), ("c", 2e-5), ("d", 5e-4), ("e", 0.0))}
SITES = [Site(name, (f"{name}.weight",), size, PerRow()) for name, size in SIZE.items()]


def aiming_at(floor: float) -> Promise:
    """The promise whose goal is this floor, for the mean and for the worst."""
    promise = Promise(1 - 2 * (1 - floor), 1 - (1 - floor) * 4 / 3 + 1e-12)
    assert promise.goal.cosine_mean == pytest.approx(floor, abs=1e-11)
    return promise


class Measured:
    """Losses that add up, as small ones do, and the number of texts that were run for them."""

    def __init__(self, loss: dict[str, np.ndarray]) -> None:
        self.loss, self.runs = loss, 0

    def __call__(self, on: Sequence[Site], texts: Sequence[int] | None = None) -> Cosines:
        found: Cosines = 1 - sum((self.loss[site.name] for site in on), np.zeros(TEXTS))
        found = found if texts is None else found[texts]
        self.runs += len(found)
        return found


@pytest.mark.parametrize(
    ("floor", "kept"),
    [
        (0.999, set()),
        (0.9994, {"b"}),
        (0.9999, {"b", "d"}),
        (0.999985, {"b", "d", "c"}),
        (0.999999, {"a", "b", "c", "d"}),
    ],
)
def test_as_few_as_reach_the_goal_and_small_ones_first(floor: float, kept: set[str]) -> None:
    chosen, reasons, cosines = least_kept(SITES, Measured(LOSS), aiming_at(floor), lambda what: None)
    assert set(reasons) == kept
    assert [site.name for site in chosen] == [name for name in LOSS if name not in kept]
    assert cosines.mean() >= floor - 1e-11
    assert all(f"{LOSS[name].mean():.1e} of cosine on average" in reason for name, reason in reasons.items())


def test_the_site_that_a_few_texts_suffer_from_is_kept_for_the_worst_cosine() -> None:
    """On average "b" costs as much, but it is not what the worst texts are missing."""
    loss = LOSS | {"c": np.where(np.arange(TEXTS) % 13 == 4, 5e-3, 0)}
    _, reasons, cosines = least_kept(SITES, Measured(loss), Promise(0.996, 0.99), lambda what: None)
    assert set(reasons) == {"c"}
    assert cosines.min() >= 0.998


def test_a_promise_that_holds_costs_one_measurement() -> None:
    measured = Measured(LOSS)
    least_kept(SITES, measured, Promise(0.9, 0.9), lambda what: None)
    assert measured.runs == TEXTS


def test_all_are_kept_where_nothing_less_is_enough() -> None:
    loss = {name: np.full(TEXTS, 0.1) for name in LOSS}
    chosen, reasons, cosines = least_kept(SITES, Measured(loss), Promise(1 - 1e-9, 1 - 1e-9), lambda what: None)
    assert not chosen
    assert set(reasons) == set(LOSS)
    assert cosines.min() == 1


def test_a_margin_over_the_promise_costs_at_most_a_tenth_of_the_int8() -> None:
    sites = [Site(str(index), (f"{index}.weight",), 1, PerRow()) for index in range(20)]
    measured = Measured({site.name: np.full(TEXTS, 3.5e-5) for site in sites})
    promise = Promise(0.998, 0.9992)
    _, reasons, cosines = least_kept(sites, measured, promise, lambda what: None)
    assert promise.cosine_mean <= cosines.mean() < promise.goal.cosine_mean
    assert len(reasons) == 2


def test_many_sites_are_judged_once_for_a_few_to_keep() -> None:
    loss = {str(index): np.full(TEXTS, 2e-4 if index in (7, 50, 90) else 1e-6) for index in range(96)}
    sites = [Site(name, (f"{name}.weight",), 1, PerRow()) for name in loss]
    said: list[str] = []
    _, reasons, _ = least_kept(sites, Measured(loss), aiming_at(1 - 1.2e-4), said.append)
    assert set(reasons) == {"7", "50", "90"}
    assert len(said) == 1
