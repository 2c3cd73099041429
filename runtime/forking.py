"""What does not live through a fork: threads. A child starts its own sessions, and tokenizes without a pool."""

import ctypes
import os
import weakref
from typing import Protocol

_PARALLELISM = "TOKENIZERS_PARALLELISM"  # read by the Rust tokenizers


class Forkable(Protocol):
    """An object with threads behind it."""

    def renew_in_child(self) -> None:
        """Forget all that belonged to the parent's threads; called in the child, before anything else runs."""


_forkables: "weakref.WeakSet[Forkable]" = weakref.WeakSet()


def watch(forkable: Forkable) -> None:
    """Have `renew_in_child` called in every child that is forked from now on."""
    _forkables.add(forkable)


def abandon(thing: object) -> None:
    """Never free `thing`: its destructor would wait for threads that this child does not have."""
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(thing))


class _Hooks:
    """Around a fork. The Rust tokenizers' pool is lost as well; they would notice by themselves, but print three lines
    about it unless the environment already tells the child to do without, so it does, where nobody else has set it.
    """

    def __init__(self) -> None:
        self._set = False
        if hasattr(os, "register_at_fork"):  # not on Windows, which does not fork
            os.register_at_fork(
                before=self.before, after_in_parent=self.after_in_parent, after_in_child=self.after_in_child
            )

    def before(self) -> None:
        self._set = bool(_forkables) and _PARALLELISM not in os.environ
        if self._set:
            os.environ[_PARALLELISM] = "false"

    def after_in_parent(self) -> None:
        if self._set:
            os.environ.pop(_PARALLELISM, None)

    def after_in_child(self) -> None:
        for forkable in tuple(_forkables):
            forkable.renew_in_child()


_Hooks()
