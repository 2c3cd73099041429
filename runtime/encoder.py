"""Texts to vectors."""

from os import PathLike


class Encoder:
    """A loaded bundle."""


def load(bundle: str | PathLike[str]) -> Encoder:
    """Open a bundle."""
    raise NotImplementedError(bundle)
