"""Captures of CUDA graphs, one at a time and with no other work on the GPU beside them.

While one is under way, CUDA refuses other threads what may wait for the GPU, allocations and copies among it, and the capture
is lost with the refused call (`cudaStreamCaptureModeGlobal`, the mode of ONNX Runtime's).
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Captures:
    """Work of any number of threads, and captures that wait for all of it and let none begin."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._working, self._capturing = 0, False

    @contextmanager
    def none(self) -> Iterator[None]:
        """Around work on the GPU that captures nothing. Not to be entered twice by one thread."""
        with self._changed:
            self._changed.wait_for(lambda: not self._capturing)
            self._working += 1
        try:
            yield
        finally:
            with self._changed:
                self._working -= 1
                self._changed.notify_all()

    @contextmanager
    def one(self) -> Iterator[None]:
        """Around a capture."""
        with self._changed:
            self._changed.wait_for(lambda: not self._capturing)
            self._capturing = True  # so that no more work begins
        try:
            with self._changed:
                self._changed.wait_for(lambda: not self._working)
            yield
        finally:
            with self._changed:
                self._capturing = False
                self._changed.notify_all()


CAPTURES = Captures()  # of the process, as CUDA's are
