"""Which shapes engines are built for: named grids, and what a user writes."""

import re
from collections.abc import Callable, Mapping, Sequence

from strizh.runtime.engines import Profile
from strizh.runtime.errors import UsageError

_SHAPE = re.compile(r"(?:(\d+)x(\d+)\.\.)?(\d+)x(\d+)")
_MOST = 2**20  # texts or tokens: beyond it a number is a slip of the pen

# A grid is what a service meets: single queries, batches of queries or passages, batches of documents. Each engine has
# the weights on the GPU once more, so there are few.
GRIDS: Mapping[str, Callable[[int], Sequence[tuple[int, int]]]] = {
    "default": lambda longest: [(1, 64), (64, 128), (16, 512), (1, longest)],
    "queries": lambda longest: [(1, 32), (1, 128), (1, longest)],
    "passages": lambda longest: [(128, 64), (64, 128), (32, 256), (16, 512), (1, longest)],
}


def parse_profiles(text: str, max_length: int) -> tuple[Profile, ...]:
    """Profiles of a grid by name, or of shapes "32x128" and "8x64..32x128" with commas between; `UsageError`.

    A shape is the most texts by the most tokens that an engine takes, padding counted; before ".." stands the one that it
    is tuned for, which is otherwise the same. Grids are cut to the bundle's `max_length`, a shape of the user's is refused.
    """
    if text in GRIDS:
        shapes = {(texts, min(tokens, max_length)) for texts, tokens in GRIDS[text](max_length)}
        kept = [one for one in shapes if not any(one != other and _within(one, other) for other in shapes)]
        return tuple(Profile(*shape, *shape) for shape in sorted(kept, key=lambda shape: shape[::-1]))
    return tuple(dict.fromkeys(_parse(part.strip(), max_length) for part in text.split(",")))


def _within(one: tuple[int, int], other: tuple[int, int]) -> bool:
    """Whether a shape cut to `max_length` tells nothing that another of as many tokens does not."""
    return one[1] == other[1] and 1 < one[0] <= other[0]


def _parse(part: str, max_length: int) -> Profile:
    found = _SHAPE.fullmatch(part)
    if not found:
        raise UsageError(
            f"profile {part!r} is none; expected texts x tokens such as 32x128, with the shape to tune for before it "
            f"such as 8x64..32x128, or one of the grids {', '.join(GRIDS)}."
        )
    texts, tokens = int(found[3]), int(found[4])
    tuned = (int(found[1]), int(found[2])) if found[1] else (texts, tokens)
    if not (1 <= tuned[0] <= texts <= _MOST and 1 <= tuned[1] <= tokens):
        raise UsageError(
            f"profile {part!r} has no shape, or is tuned for one outside it; expected 1x1 <= tuned <= most."
        )
    if tokens > max_length:
        raise UsageError(f"profile {part!r} has texts of {tokens} tokens, this bundle takes up to {max_length}.")
    return Profile(texts, tokens, *tuned)
