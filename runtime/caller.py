"""The code outside this package that called it: whom a warning is to show."""

import sys


def callers_level() -> int:
    """The `stacklevel` at which a warning made here shows the caller's line, however deep in this package it arose."""
    frame, level = sys._getframe(1), 1
    while frame.f_back and str(frame.f_globals.get("__name__", "")).startswith("strizh.runtime."):
        frame, level = frame.f_back, level + 1
    return level
