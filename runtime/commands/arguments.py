"""Kinds of arguments that several commands take."""

from collections.abc import Collection, Iterable

from strizh.runtime.errors import UsageError


def names(listed: str) -> list[str]:
    """What stands between the commas. An empty name stays one, to be refused as unknown: it does not mean "all"."""
    return [name.strip() for name in listed.split(",")]


def refuse_unknown(variants: Iterable[str], known: Collection[str]) -> None:
    """Raise `UsageError` for the first of the named variants that the bundle does not have."""
    for name in variants:
        if name not in known:
            raise UsageError(f"variant {name!r} is not in this bundle; it has {', '.join(known)}.")
