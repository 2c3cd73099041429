"""One engine in a process of its own: reads requests from stdin, one JSON object a line, and answers in the same way.

Runs in the engine's environment, which may hold neither strizh nor anything else but numpy and the engine.
"""

import base64
import importlib
import json
import os
import resource
import sys
import time
from importlib import metadata
from pathlib import Path
from typing import Any

if not __package__:  # run as a script, not imported
    # The root may not stay on the path: its folder `kernels` would be taken for the package that transformers looks for.
    sys.path[0] = str(Path(__file__).resolve().parents[1])
    import benchmarks  # noqa: F401

    del sys.path[0]

import numpy as np

from benchmarks.engines import Batch, Engine
from benchmarks.installed import installed_bytes

_MAX_REPEATS = 400


class Worker:
    """Holds one open engine and the batch that it works on."""

    def __init__(self) -> None:
        self.engine: Engine | None = None
        self.batch = Batch()
        self.tokenizer: Any = None

    def open(
        self, engine: str, model: dict[str, Any], threads: int, options: dict[str, Any], tokenizes: bool
    ) -> dict[str, Any]:
        """Open the engine for a model; says how long that took and which versions it has.

        One that does not tokenize by itself gets its ids from the checkpoint's tokenizer, in the time that is measured.
        """
        module = importlib.import_module(f"benchmarks.engines.{engine}")
        started = time.perf_counter()
        self.engine = module.open_engine(model, threads, **options)
        self.tokenizer = None if tokenizes else _tokenizer(f"{model['checkpoint']}/tokenizer.json", model["max_length"])
        return {
            "seconds": time.perf_counter() - started,
            "versions": {name: metadata.version(name) for name in module.PACKAGES},
        }

    def floor(self, engine: str, tokenizer: str) -> dict[str, Any]:
        """Import what the engine needs and load the tokenizer: what is there before any model is."""
        module = importlib.import_module(f"benchmarks.engines.{engine}")
        for name in module.IMPORTS:
            importlib.import_module(name)
        self.tokenizer = _tokenizer(tokenizer, 512)
        return self.memory()

    def churn(self, lengths: list[list[int]], samples: int) -> dict[str, Any]:
        """Encode batches of these lengths, one after the other; resident bytes after each of `samples` equal parts."""
        resident = []
        assert self.engine is not None
        for number, row in enumerate(lengths, 1):
            ids = [np.arange(number, number + length, dtype=np.int32) % 900 + 5 for length in row]
            self.engine.encode(Batch(ids), len(ids))
            if number % max(1, len(lengths) // samples) == 0:
                resident.append(self.memory()["resident"])
        return {"resident": resident}

    def installed(self, packages: list[str]) -> dict[str, Any]:
        """Bytes on disk of distributions and of all that they require, each counted once."""
        return {"bytes": installed_bytes(packages)}

    def make(self, maker: str, model: dict[str, Any], source: str | None, path: str) -> dict[str, Any]:
        """Make a file that engines need."""
        module = importlib.import_module(f"benchmarks.files.{maker}")
        module.make(model, source, path)
        return {}

    def load(self, ids: list[list[int]], strings: list[str]) -> dict[str, Any]:
        """Take the texts of the following requests."""
        self.batch = Batch([np.array(text, np.int32) for text in ids], strings)
        return {}

    def vectors(self, batch_size: int | None) -> dict[str, Any]:
        """Encode once and give the vectors."""
        started = time.perf_counter()
        result = np.ascontiguousarray(self._run(batch_size), np.float32)
        seconds = time.perf_counter() - started
        return {"shape": result.shape, "seconds": seconds, "float32": base64.b64encode(result.tobytes()).decode()}

    def time(self, batch_size: int | None, seconds: float) -> dict[str, Any]:
        """Encode again and again for `seconds`, at least once."""
        measured: list[float] = []
        cpu = time.process_time()
        started = last = time.perf_counter()
        while not measured or (last - started < seconds and len(measured) < _MAX_REPEATS):
            self._run(batch_size)
            now = time.perf_counter()
            measured.append(now - last)
            last = now
        return {"seconds": measured, "cpu_seconds": (time.process_time() - cpu) / len(measured)}

    def memory(self) -> dict[str, Any]:
        """Resident bytes now and at the highest."""
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        return {"resident": pages * resource.getpagesize(), "peak": peak}

    def _run(self, batch_size: int | None) -> Any:
        assert self.engine is not None
        batch = self.batch
        if batch.strings and self.tokenizer:
            encoded = self.tokenizer.encode_batch_fast(batch.strings)
            batch = Batch([np.array(one.ids, np.int32) for one in encoded])
        return self.engine.encode(batch, batch_size)


def _tokenizer(path: str, max_length: int) -> Any:
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(path)
    tokenizer.no_padding()
    tokenizer.enable_truncation(max_length)
    return tokenizer


def main() -> None:
    """Answer until stdin ends. What engines print goes to stderr, so that it cannot be taken for an answer."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    _die_before_the_others()
    worker = Worker()
    for line in sys.stdin:
        request = json.loads(line)
        try:
            answer = getattr(worker, request.pop("do"))(**request)
        except ImportError as error:
            answer = {"absent": error.name or str(error)}
        except Exception as error:  # whatever an engine raises is a result
            answer = {"error": f"{type(error).__name__}: {' '.join(str(error).split())[:400]}"}
        print(json.dumps(answer), file=answers, flush=True)


def _die_before_the_others() -> None:
    """A case too large for this machine must end this process, not the run."""
    adjust = Path("/proc/self/oom_score_adj")
    if adjust.exists():
        adjust.write_text("1000")


if __name__ == "__main__":
    main()
