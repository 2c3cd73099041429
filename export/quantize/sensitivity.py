"""Which sites an int8 variant must leave in float: the least of the model that reaches the goal."""

from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from strizh.export.quantize.site import Site
from strizh.export.recipes import Promise

Cosines = NDArray[np.float64]

_WORST, _EVENLY = 4, 8  # texts that single sites are judged by: those that lose most, and some of all

_SITES_A_STEP = 32  # more are kept at once where there are more: judging takes longer there, and a site matters less

_INT8_FOR_A_MARGIN = 0.9
# Of the loss that a promise allows: other texts lose more than these, and who loses as much by a hair has a plan of chance.
_FIRM = 0.9


class Measure(Protocol):
    """Cosine to the float vectors of these calibration texts, or of all, with these sites in int8."""

    def __call__(self, on: Sequence[Site], texts: Sequence[int] | None = None) -> Cosines: ...


def least_kept(
    sites: Sequence[Site], measure: Measure, promise: Promise, step: Callable[[str], None]
) -> tuple[list[Site], dict[str, str], Cosines]:
    """The sites to quantise, those kept in float with the reason, and the cosines that are reached.

    What a few texts gain by each site in float foresees which sites to keep; whether they are enough, all texts show. If the
    best is not, the rest is judged again, for the losses of two sites do not quite add up, and then in growing handfuls, for
    it takes time. What is kept beyond the promise, for the margin of its goal, is no more than a tenth of the multiplications.
    """
    chosen, kept, handful = list(sites), dict[str, str](), 1 + len(sites) // _SITES_A_STEP
    cosines, goal, least = measure(sites), promise.goal, _INT8_FOR_A_MARGIN * _size(sites)
    firm = Promise(1 - _FIRM * (1 - promise.cosine_min), 1 - _FIRM * (1 - promise.cosine_mean))
    while chosen and not _meets(cosines, goal):
        step("measuring every layer's sensitivity")
        texts = _judges(cosines)
        judged = list(chosen)
        gain = np.stack([measure(_without(judged, [site]), texts) for site in judged]) - cosines[texts]
        order = _order(gain, 1 - cosines[texts], np.array([site.size for site in judged]), goal)[:handful]
        for few in np.array_split(order, min(4, len(order))):
            rest = _without(chosen, [judged[index] for index in few])
            if _meets(cosines, firm) and _size(rest) < least:
                return chosen, kept, cosines
            chosen, cosines = rest, measure(rest)
            kept |= {judged[index].name: _reason(gain[index]) for index in few}
            if _meets(cosines, goal):
                break
        handful *= 2
    return chosen, kept, cosines


def _judges(cosines: Cosines) -> list[int]:
    worst, evenly = np.argsort(cosines)[:_WORST], np.linspace(0, len(cosines) - 1, _EVENLY)
    return [int(text) for text in np.union1d(worst, evenly.astype(int))]


def _size(sites: Sequence[Site]) -> int:
    return sum(site.size for site in sites)


def _without(sites: Sequence[Site], some: Sequence[Site]) -> list[Site]:
    return [site for site in sites if site not in some]


def _reason(gain: NDArray[np.float64]) -> str:
    return f"int8 costs {gain.mean():.1e} of cosine on average, {gain.max():.1e} at worst"


def _meets(cosines: Cosines, goal: Promise) -> bool:
    return bool(cosines.mean() >= goal.cosine_mean and cosines.min() >= goal.cosine_min)


def _order(gain: NDArray[np.float64], lost: Cosines, sizes: NDArray[np.int64], goal: Promise) -> list[int]:
    """Rows of `gain` [sites, texts], the first to keep first: most gain for its size in what is missed most."""
    left, order = list(range(len(gain))), []
    while left:
        worst = lost.max() / (1 - goal.cosine_min) > lost.mean() / (1 - goal.cosine_mean)
        # A single text's gains are as much chance as they are the site's: take those of the few worst.
        texts = np.argsort(-lost)[: _WORST if worst else None]
        found = gain[left][:, texts].mean(1)
        order.append(left.pop(int(np.argmax(found / sizes[left]))))
        lost = lost - gain[order[-1]]
    return order
