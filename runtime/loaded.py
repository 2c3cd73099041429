"""A bundle that is open: its tokenizer, its sessions, and what they have in common with each other."""

import threading
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from numbers import Integral
from os import PathLike
from typing import Any

import numpy as np
from tqdm import tqdm

from strizh.runtime import choose, forking, host
from strizh.runtime.bundle import Bundle
from strizh.runtime.caller import callers_level
from strizh.runtime.errors import TruncationWarning, UsageError
from strizh.runtime.manifest import TOKENIZER, Manifest
from strizh.runtime.pipeline import Encoded, Pipeline
from strizh.runtime.prompts import resolve_prompt
from strizh.runtime.sessions.opening import open_session
from strizh.runtime.sessions.session import Output, Session
from strizh.runtime.tokenization import Overflow, Tokenizer
from strizh.runtime.vectors import Float32

_MOST_THREADS = 1024  # a pool is as large as it is told to be: 100,000 threads take 12 GB before the first text


class LoadedBundle:
    """What every use of a bundle needs; the uses themselves are its subclasses' methods.

    Thread-safe: batches of concurrent calls take turns. A forked child opens sessions of its own when it first encodes.
    """

    def __init__(
        self,
        bundle: str | PathLike[str],
        variant: str,
        threads: int | None,
        providers: Sequence[str] | None,
        max_batch_tokens: int,
    ) -> None:
        for name, value in (("threads", threads), ("max_batch_tokens", max_batch_tokens)):
            if value is not None and not is_count(value):
                raise UsageError(f"{name} is {value!r}, expected a whole number of at least 1")
        if threads is not None and threads > _MOST_THREADS:
            raise UsageError(f"threads is {threads}, expected at most {_MOST_THREADS}: more than cores make nothing quicker")
        if isinstance(providers, str):
            raise UsageError(f"providers is the string {providers!r}, expected a list of names: [{providers!r}]")
        self._bundle = Bundle(bundle)
        machine = host.probe(gpu=choose.asks_for_gpu(self.manifest.variants, variant, providers))
        for problem in machine.problems:
            warnings.warn(problem, RuntimeWarning, stacklevel=callers_level())
        self._choice = choose.choose(
            self.manifest.variants,
            machine,
            wanted=variant,
            providers=providers,
            engines=self.manifest.engines,
            max_length=self.manifest.max_length,
        )
        self._threads = int(threads or machine.cores)
        self._instruction_set = machine.instruction_set
        self._max_batch_tokens = int(max_batch_tokens)
        self._bundle.verify([TOKENIZER])
        self._tokenizer = Tokenizer(self._bundle.path(TOKENIZER), self.manifest.max_length)
        self._lock = threading.Lock()
        self._sessions: dict[str, Session] = {}
        self._closed = False
        forking.watch(self)
        self._pipeline(self._sentence)  # whatever is wrong with the graph is said now

    @property
    def manifest(self) -> Manifest:
        """What the bundle says of itself."""
        return self._bundle.manifest

    @property
    def variant(self) -> str:
        """The variant that runs."""
        return self._choice.variant

    @property
    def threads(self) -> int:
        """Threads that a batch is computed with."""
        return self._threads

    @property
    def dimension(self) -> int:
        """Length of a vector."""
        return self.manifest.dimension

    @property
    def max_length(self) -> int:
        """Longest text in tokens, special tokens included."""
        return self.manifest.max_length

    @property
    def prompts(self) -> dict[str, str]:
        """Prompts by name."""
        return dict(self.manifest.prompts)

    @property
    def labels(self) -> tuple[str, ...]:
        """What the columns of `classify` mean; empty without a classifier."""
        return self.manifest.labels

    def explain(self) -> str:
        """Which variant runs and why, what was passed over and why, and on what it runs, in a few lines."""
        running = [f"threads: {self._threads}", f"providers: {', '.join(self._choice.providers)}"]
        if self.manifest.variants[self.variant].target == "cpu":
            running.append(f"instruction set: {self._instruction_set}")
        if engines := self._choice.engines:
            running.append(f"engines: {', '.join(str(engine.profile) for engine in engines)}")
        return "\n".join([str(self._choice), ", ".join(running)])

    def close(self) -> None:
        """Free the sessions; the encoder cannot be used any more."""
        with self._lock:
            self._closed = True
            self._sessions.clear()

    def renew_in_child(self) -> None:
        """After a fork: the parent's sessions are forgotten, the next call opens new ones."""
        self._lock = threading.Lock()
        for session in self._sessions.values():
            forking.abandon(session)
        self._sessions = {}

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.manifest.name!r}, variant={self.variant!r}, dimension={self.dimension})"

    def _prompt(self, prompt: str | None, prompt_name: str | None) -> str:
        manifest = self.manifest
        return resolve_prompt(manifest.prompts, manifest.default_prompt_name, prompt=prompt, prompt_name=prompt_name)

    @property
    def _sentence(self) -> Output:
        return Output("sentence_embedding", self.dimension)

    def _pipeline(self, output: Output) -> Pipeline:
        """The pipeline that ends in this output; the session of its graph is opened when it is first asked for."""
        variant = self.manifest.variants[self.variant]
        file = variant.classifier if output.name == "logits" else variant.file
        if file is None:
            raise UsageError(
                f"variant {self.variant} of this bundle has no classifier. Export a checkpoint that has one"
            )
        with self._lock:
            if self._closed:
                raise UsageError("this encoder is closed. Load the bundle again")
            if file not in self._sessions:
                self._sessions[file] = open_session(
                    self._bundle, self._choice, file, threads=self._threads, max_batch_tokens=self._max_batch_tokens
                )
            self._sessions[file].check_output(output)
            return Pipeline(self._tokenizer, self._sessions[file], output, self._max_batch_tokens)

    def _collect(
        self,
        pieces: Iterator[Encoded],
        texts: Sequence[Any],
        width: int,
        show_progress_bar: bool | None,
        overflow: Overflow,
    ) -> Float32:
        """All pieces of the result for `texts` in one array, with the progress bar and the one warning."""
        disable = None if show_progress_bar is None else not show_progress_bar
        result = np.empty((len(texts), width), np.float32)
        done = truncated = dropped = 0
        with tqdm(total=len(texts), disable=disable, delay=2 if disable is None else 0, unit="text") as bar:
            for piece in pieces:
                result[done : done + len(piece.embeddings)] = piece.embeddings
                done += len(piece.embeddings)
                truncated += piece.truncated
                dropped += piece.dropped
                bar.update(len(piece.embeddings))
        self._warn(overflow, truncated, dropped, len(texts))
        return result

    def _warn(self, overflow: Overflow, truncated: int, dropped: int, total: int) -> None:
        if overflow == "warn" and truncated:
            warnings.warn(
                f"{truncated} of {total} texts are longer than {self.max_length} tokens; their last {dropped} tokens "
                "were cut off. overflow='split' pools over windows instead, overflow='error' refuses",
                TruncationWarning,
                stacklevel=callers_level(),
            )


def as_sequence(texts: Any) -> Sequence[Any]:
    """The texts as a sequence; `UsageError` for what is no iterable of them."""
    check_texts(texts)
    return texts if isinstance(texts, Sequence) else list(texts)


def check_texts(texts: Any) -> None:
    """`UsageError` for what is no iterable of texts, or one only of letters or of a dict's keys."""
    if isinstance(texts, str | bytes | Mapping) or not isinstance(texts, Iterable):
        raise UsageError(f"texts is of type {type(texts).__name__}, expected a list or another iterable of strings")


def is_count(value: Any) -> bool:
    """Whether it is a whole number of at least 1, one of NumPy's included."""
    return isinstance(value, Integral) and not isinstance(value, bool) and int(value) >= 1
