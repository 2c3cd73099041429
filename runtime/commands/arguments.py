"""Kinds of arguments that several commands take."""


def names(listed: str) -> list[str]:
    """What stands between the commas. An empty name stays one, to be refused as unknown: it does not mean "all"."""
    return [name.strip() for name in listed.split(",")]
