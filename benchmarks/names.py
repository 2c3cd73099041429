"""Names on the command line: patterns, with `*` for anything, of what there is."""

from collections.abc import Callable, Iterable, Sequence
from fnmatch import fnmatch
from typing import TypeVar

from benchmarks.errors import UnknownName

T = TypeVar("T")


def choose(kind: str, patterns: Iterable[str], there: Sequence[T], named: Callable[[T], tuple[str, ...]]) -> list[T]:
    """Those of `there` with a name that matches one of the patterns, in their order; all without patterns.

    `named` gives the names of one, the usual one first. Raises `UnknownName` for patterns that nothing matches, each of
    them: one misspelt among many would leave out in silence what it stands for.
    """
    patterns = list(patterns)
    unknown = [one for one in patterns if not any(fnmatch(name, one) for thing in there for name in named(thing))]
    if unknown:
        usual = ", ".join(dict.fromkeys(named(thing)[0] for thing in there))
        raise UnknownName(f"no {kind} is named {' or '.join(unknown)}; there are {usual}")
    return [
        thing for thing in there if not patterns or any(fnmatch(name, one) for name in named(thing) for one in patterns)
    ]
