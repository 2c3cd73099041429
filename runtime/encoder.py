"""Texts to vectors: the public face of the runtime."""

import threading
import warnings
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from strizh.runtime import choose, forking, host
from strizh.runtime.batching import DEFAULT_MAX_BATCH_TOKENS, PackedBatch
from strizh.runtime.bundle import TOKENIZER, Bundle, Manifest
from strizh.runtime.errors import TruncationWarning, UsageError
from strizh.runtime.pipeline import Encoded, Pipeline
from strizh.runtime.prompts import resolve_prompt
from strizh.runtime.sessions.opening import open_session
from strizh.runtime.sessions.session import Session
from strizh.runtime.tokenization import Overflow, Tokenizer
from strizh.runtime.tuning import read_tuning
from strizh.runtime.vectors import Float32, normalize


class Encoder:
    """A loaded bundle.

    Thread-safe: batches of concurrent calls take turns. A forked child opens sessions of its own when it first encodes.
    Pickles as its path and its options.
    """

    def __init__(
        self,
        bundle: str | PathLike[str],
        variant: str = "auto",
        threads: int | None = None,
        providers: Sequence[str] | None = None,
        max_batch_tokens: int = DEFAULT_MAX_BATCH_TOKENS,
    ) -> None:
        """Open a bundle; the parameters and errors are those of `strizh.load`."""
        for name, value in (("threads", threads), ("max_batch_tokens", max_batch_tokens)):
            if value is not None and (type(value) is not int or value < 1):
                raise UsageError(f"{name} is {value!r}, expected a whole number of at least 1")
        machine = host.probe()
        for problem in machine.problems:
            warnings.warn(problem, RuntimeWarning, stacklevel=3)
        self._reopen = partial(load, str(Path(bundle).absolute()), variant, threads, providers, max_batch_tokens)
        self._bundle = Bundle(bundle)
        self._choice = choose.choose(self.manifest.variants, machine, wanted=variant, providers=providers)
        self._threads = threads or machine.cores
        self._instruction_set = machine.instruction_set
        self._max_batch_tokens = max_batch_tokens
        self._bundle.verify([TOKENIZER])
        self._tokenizer = Tokenizer(self._bundle.path(TOKENIZER), self.manifest.max_length)
        self._lock = threading.Lock()
        self._sessions: dict[str, Session] = {}
        self._closed = False
        forking.watch(self)
        self._pipeline("sentence_embedding")  # whatever is wrong with the graph is said now

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

    def encode(
        self,
        texts: str | Iterable[str],
        *,
        prompt_name: str | None = None,
        prompt: str | None = None,
        normalize_embeddings: bool | None = None,
        truncate_dim: int | None = None,
        overflow: Overflow = "warn",
        show_progress_bar: bool | None = None,
    ) -> Float32:
        """Vectors of the texts in their order: float32 [n, dim]; of a single string [dim].

        `prompt` is text put before each text and wins; `prompt_name` names one of the bundle's; with neither the
        bundle's default prompt is used; `prompt=""` means none. `normalize_embeddings`: None keeps what the graph
        gives, True scales to length 1. `truncate_dim` keeps the first numbers of each vector, and scales to length 1
        again if the vectors were. `overflow`, for texts above `max_length` tokens: "warn" cuts and warns with the
        count, "error" raises, "split" gives the token-weighted mean over windows, of which the first has the prompt.
        A text that has no tokens at all gives zeros. `show_progress_bar`: None shows one on a terminal when it takes
        longer than two seconds. Raises `UsageError` for wrong options and `TextError` for what is no text.
        """
        vectors = partial(
            self.encode_stream,
            prompt_name=prompt_name,
            prompt=prompt,
            normalize_embeddings=normalize_embeddings,
            truncate_dim=truncate_dim,
            overflow=overflow,
        )
        return self._collect(vectors, texts, truncate_dim or self.dimension, show_progress_bar, overflow)

    def encode_stream(
        self,
        texts: Iterable[str],
        *,
        prompt_name: str | None = None,
        prompt: str | None = None,
        normalize_embeddings: bool | None = None,
        truncate_dim: int | None = None,
        overflow: Overflow = "warn",
    ) -> Iterator[Encoded]:
        """As `encode`, for as many texts as there are, in constant memory: yields consecutive pieces with their counts.

        `texts` is read one piece ahead. Nothing is warned of: `Encoded.truncated` counts what was cut.
        """
        if normalize_embeddings is False and self.manifest.normalize:
            raise UsageError(
                "normalize_embeddings=False, but this bundle's graph gives unit vectors. "
                "Export the checkpoint with --no-normalize for raw ones"
            )
        if truncate_dim is not None and not (type(truncate_dim) is int and 1 <= truncate_dim <= self.dimension):
            raise UsageError(f"truncate_dim is {truncate_dim!r}, expected 1 to {self.dimension}")
        text = self._prompt(prompt, prompt_name)
        unit = bool(normalize_embeddings) or self.manifest.normalize
        pipeline = self._pipeline("sentence_embedding")
        # A mean of windows and a shortened vector are no unit vectors any more.
        again = unit and (not self.manifest.normalize or truncate_dim is not None or overflow == "split")

        def pieces() -> Iterator[Encoded]:
            for piece in pipeline.stream(texts, text, overflow):
                vectors = piece.embeddings[:, :truncate_dim]
                yield piece.with_embeddings(normalize(vectors) if again else vectors)

        return pieces()

    def classify(
        self,
        texts: str | Iterable[str],
        *,
        prompt_name: str | None = None,
        prompt: str | None = None,
        overflow: Overflow = "warn",
        show_progress_bar: bool | None = None,
    ) -> Float32:
        """Logits of the bundle's classifier: float32 [n, len(labels)]; of a single string [len(labels)].

        `encoder.labels[i]` names column i. `UsageError` if the bundle has no classifier.
        """
        text = self._prompt(prompt, prompt_name)
        pipeline = self._pipeline("logits")
        logits = partial(pipeline.stream, prompt=text, overflow=overflow)
        return self._collect(logits, texts, len(self.labels), show_progress_bar, overflow)

    def tokenize(
        self,
        texts: str | Sequence[str],
        *,
        prompt_name: str | None = None,
        prompt: str | None = None,
        overflow: Overflow = "warn",
    ) -> PackedBatch:
        """Token ids as the model sees them: prompt and special tokens included, cut to `max_length`."""
        sequence = [texts] if isinstance(texts, str) else list(texts)
        tokens = self._tokenizer.tokenize(sequence, self._prompt(prompt, prompt_name), overflow)
        _warn(overflow, tokens.truncated, tokens.dropped, len(sequence), self.max_length)
        return tokens.rows

    def encode_tokens(self, batch: PackedBatch) -> Float32:
        """Vectors of texts that are tokenized already, as the graph gives them: float32 [len(batch), dim].

        For token ids from elsewhere, and to compare engines on the same ids. `UsageError` for a text above `max_length`.
        """
        longest = int(batch.lengths.max(initial=0))
        if longest > self.max_length:
            raise UsageError(f"a text has {longest} tokens, expected at most {self.max_length}. Cut it before")
        return self._pipeline("sentence_embedding").run(batch)

    def explain(self) -> str:
        """Which variant runs and why, what was passed over and why, and on what it runs, in a few lines."""
        running = [f"threads: {self._threads}", f"providers: {', '.join(self._choice.providers)}"]
        if self.manifest.variants[self.variant].target == "cpu":
            running.append(f"instruction set: {self._instruction_set}")
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

    def __enter__(self) -> "Encoder":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __reduce__(self) -> tuple[Any, tuple[()]]:
        return self._reopen, ()

    def __repr__(self) -> str:
        return f"Encoder({self.manifest.name!r}, variant={self.variant!r}, dimension={self.dimension})"

    def _prompt(self, prompt: str | None, prompt_name: str | None) -> str:
        manifest = self.manifest
        return resolve_prompt(manifest.prompts, manifest.default_prompt_name, prompt=prompt, prompt_name=prompt_name)

    def _pipeline(self, output: str) -> Pipeline:
        """The pipeline that ends in this output; its session is opened when it is first asked for."""
        variant = self.manifest.variants[self.variant]
        file = variant.file if output == "sentence_embedding" else variant.classifier
        width = self.dimension if output == "sentence_embedding" else len(self.labels)
        if file is None:
            raise UsageError(
                f"variant {self.variant} of this bundle has no classifier. Export a checkpoint that has one"
            )
        with self._lock:
            if self._closed:
                raise UsageError("this encoder is closed. Load the bundle again")
            if output not in self._sessions:
                self._sessions[output] = open_session(
                    self._bundle,
                    self.variant,
                    file,
                    output=output,
                    width=width,
                    threads=self._threads,
                    providers=self._choice.providers,
                )
            return Pipeline(self._tokenizer, self._sessions[output], self._max_batch_tokens, width)

    def _collect(
        self, stream: Any, texts: str | Iterable[str], width: int, show_progress_bar: bool | None, overflow: Overflow
    ) -> Float32:
        """All pieces of `stream(texts)` in one array, with the progress bar and the one warning."""
        if isinstance(texts, str):
            return self._collect(stream, [texts], width, False, overflow)[0]  # type: ignore[no-any-return]
        if isinstance(texts, bytes) or not isinstance(texts, Iterable):
            raise UsageError(f"texts is of type {type(texts).__name__}, expected a string or an iterable of strings")
        texts = texts if isinstance(texts, Sequence) else list(texts)
        disable = None if show_progress_bar is None else not show_progress_bar
        pieces = stream(texts)  # refuses wrong options before anything is made
        result = np.empty((len(texts), width), np.float32)
        done = truncated = dropped = 0
        with tqdm(total=len(texts), disable=disable, delay=2 if disable is None else 0, unit="text") as bar:
            for piece in pieces:
                result[done : done + len(piece.embeddings)] = piece.embeddings
                done += len(piece.embeddings)
                truncated += piece.truncated
                dropped += piece.dropped
                bar.update(len(piece.embeddings))
        _warn(overflow, truncated, dropped, len(texts), self.max_length)
        return result


def load(
    bundle: str | PathLike[str],
    variant: str = "auto",
    threads: int | None = None,
    providers: Sequence[str] | None = None,
    max_batch_tokens: int | None = None,
    tuning: str | PathLike[str] | None = None,
) -> Encoder:
    """Open a bundle written by `strizh export`.

    `variant` is one of the bundle's, or "auto" for the best that this machine runs (`encoder.explain()` says why).
    `threads` defaults to the cores that this process may use (affinity and container quota counted). `providers`
    are ONNX Runtime's execution providers, by default the variant's own. `max_batch_tokens` is the ceiling of tokens
    in one batch, padding counted, and with it of memory (default 8192). `tuning` is a file of `strizh bench
    --save-tuning`: it says what the other arguments leave open.

    Raises `BundleError` for a bundle that is missing, damaged or too new, `DeviceError` for a variant that cannot run
    here, `UsageError` for a wrong argument; all are `strizh.Error`.
    """
    if tuning is not None:
        tuned = read_tuning(tuning, bundle)
        variant = tuned.variant if variant == "auto" else variant
        threads = tuned.threads if threads is None else threads
        max_batch_tokens = tuned.max_batch_tokens if max_batch_tokens is None else max_batch_tokens
    if max_batch_tokens is None:
        max_batch_tokens = DEFAULT_MAX_BATCH_TOKENS
    return Encoder(bundle, variant, threads, providers, max_batch_tokens)


def _warn(overflow: Overflow, truncated: int, dropped: int, total: int, limit: int) -> None:
    if overflow == "warn" and truncated:
        warnings.warn(
            f"{truncated} of {total} texts are longer than {limit} tokens; their last {dropped} tokens were cut off. "
            "overflow='split' pools over windows instead, overflow='error' refuses",
            TruncationWarning,
            stacklevel=4,
        )
