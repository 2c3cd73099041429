"""One thread for all runs of a session, whoever calls: ONNX Runtime keeps CUDA graphs, and handles of cuBLAS, by thread."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Result = TypeVar("Result")


class Lane:
    """Runs where the first call came from, so that a query waits for no other thread; once a second thread calls, in its own.

    Calls take turns: the session sees to that.
    """

    def __init__(self) -> None:
        self._first: threading.Thread | None = None
        self._own: ThreadPoolExecutor | None = None

    def __call__(self, run: Callable[[], Result]) -> Result:
        here = threading.current_thread()
        if self._own is None:
            self._first = self._first or here
            if self._first is here:
                return run()
            self._own = ThreadPoolExecutor(1, "strizh-gpu")
        return self._own.submit(run).result()
