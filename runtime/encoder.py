"""Texts to vectors: the public face of the runtime."""

from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from os import PathLike
from pathlib import Path
from typing import Any, Self

from numpy.typing import ArrayLike

from strizh.runtime.batching import DEFAULT_MAX_BATCH_TOKENS, Budget, PackedBatch
from strizh.runtime.classifying import Classifying
from strizh.runtime.errors import UsageError
from strizh.runtime.loaded import as_sequence, check_texts, is_count
from strizh.runtime.pipeline import Encoded
from strizh.runtime.placement import DeviceVectors, Placement, check_placement, hand_out
from strizh.runtime.precision import Precision, Quantizer, Vectors, quantize_embeddings
from strizh.runtime.sessions.device import DeviceSession
from strizh.runtime.token_outputs import Span, TokenOutputs
from strizh.runtime.tokenization import Overflow, Text
from strizh.runtime.tuning import read_tuning
from strizh.runtime.vectors import Float32, normalize


class Encoder(Classifying, TokenOutputs):
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
        super().__init__(bundle, variant, threads, providers, max_batch_tokens)
        self._reopen = partial(load, str(Path(bundle).absolute()), variant, threads, providers, max_batch_tokens)

    def encode(
        self,
        texts: str | Iterable[str],
        *,
        prompt_name: str | None = None,
        prompt: str | None = None,
        normalize_embeddings: bool | None = None,
        truncate_dim: int | None = None,
        overflow: Overflow = "warn",
        late_chunking: Sequence[Sequence[Span]] | Sequence[Span] | None = None,
        precision: Precision = "float32",
        calibration_embeddings: ArrayLike | None = None,
        show_progress_bar: bool | None = None,
        output: Placement = "numpy",
    ) -> Vectors | Any:
        """Vectors of the texts in their order: float32 [n, dim]; of a single string [dim].

        `prompt` is text put before each text and wins; `prompt_name` names one of the bundle's; with neither the
        bundle's default prompt is used; `prompt=""` means none. `normalize_embeddings`: None keeps what the graph
        gives, True scales to length 1. `truncate_dim` keeps the first numbers of each vector, and scales to length 1
        again if the vectors were. `overflow`, for texts above `max_length` tokens: "warn" cuts and warns with the
        count, "error" raises, "split" gives the token-weighted mean over windows, of which the first has the prompt.
        `late_chunking` asks for vectors of parts of the texts: for each text its spans (first character, one after the
        last), for a single string its spans. The result has a row for every span, text by text: the mean of the span's
        tokens, which have seen the whole text (arXiv 2409.04701); of a span without tokens zeros. For mean pooling only.
        `precision` and `calibration_embeddings` are those of `strizh.quantize_embeddings`: the vectors in fewer bits.
        `output`: "numpy" is an array of the host; "torch" a tensor and "dlpack" what any library takes by `from_dlpack`, both
        without a copy: views of that array, or with a variant on a GPU its own memory, as the graph gives the vectors.
        A text that has no tokens at all gives zeros. `show_progress_bar`: None shows one on a terminal when it takes
        longer than two seconds. Raises `UsageError` for wrong options and `TextError` for what is no text.
        """
        self._check(normalize_embeddings, truncate_dim)
        Quantizer(precision, truncate_dim or self.dimension, calibration_embeddings)
        check_placement(output)
        alone = isinstance(texts, str)
        sequence = [texts] if isinstance(texts, str) else as_sequence(texts)
        session = self._pipeline(self._sentence).session
        if output != "numpy" and isinstance(session, DeviceSession):
            again = bool(normalize_embeddings) and not self.manifest.normalize
            if again or truncate_dim or late_chunking is not None or precision != "float32" or overflow == "split":
                raise UsageError(
                    f"output={output!r} leaves vectors on the GPU as the graph gives them. Leave out normalize_embeddings, "
                    "truncate_dim, late_chunking, precision and overflow='split', or take output='numpy'"
                )
            return hand_out(self._keep(session, sequence, self._prompt(prompt, prompt_name), overflow, alone), output)
        if late_chunking is not None:
            spans: Any = [late_chunking] if alone else late_chunking
            chunks = self._late_chunks(sequence, spans, self._prompt(prompt, prompt_name), overflow)[:, :truncate_dim]
            chunks = normalize(chunks) if normalize_embeddings or self.manifest.normalize else chunks
            return hand_out(
                quantize_embeddings(chunks, precision, calibration_embeddings=calibration_embeddings), output
            )
        pieces = self.encode_stream(  # refuses wrong options before anything is made
            sequence,
            prompt_name=prompt_name,
            prompt=prompt,
            normalize_embeddings=normalize_embeddings,
            truncate_dim=truncate_dim,
            overflow=overflow,
        )
        bar = False if alone else show_progress_bar
        vectors = self._collect(pieces, sequence, truncate_dim or self.dimension, bar, overflow)
        found = quantize_embeddings(vectors, precision, calibration_embeddings=calibration_embeddings)
        return hand_out(found[0] if alone else found, output)

    def _keep(
        self, session: DeviceSession, texts: Sequence[Any], prompt: str, overflow: Overflow, alone: bool
    ) -> DeviceVectors:
        """Vectors of the texts in the memory of the GPU that computed them."""
        tokens = self._tokenizer.tokenize(texts, prompt, overflow)  # refuses pairs
        self._warn(overflow, tokens.truncated, tokens.dropped, tokens.texts)
        batches = Budget(self._max_batch_tokens, session.padded, session.enough).consecutive(tokens.rows.lengths)
        return session.keep(tokens.rows, batches, self._sentence, alone=alone)

    def encode_stream(
        self,
        texts: Iterable[str],
        *,
        prompt_name: str | None = None,
        prompt: str | None = None,
        normalize_embeddings: bool | None = None,
        truncate_dim: int | None = None,
        overflow: Overflow = "warn",
        precision: Precision = "float32",
        calibration_embeddings: ArrayLike | None = None,
    ) -> Iterator[Encoded]:
        """As `encode`, for as many texts as there are, in constant memory: yields consecutive pieces with their counts.

        `texts` is read one piece ahead. Nothing is warned of: `Encoded.truncated` counts what was cut.
        int8 and uint8 need `calibration_embeddings`, since the ranges of all the texts are not known.
        """
        check_texts(texts)
        self._check(normalize_embeddings, truncate_dim)
        quantizer = Quantizer(precision, truncate_dim or self.dimension, calibration_embeddings)
        if not quantizer.calibrated:
            raise UsageError(
                f"a stream of {precision} vectors needs calibration_embeddings: vectors of a sample of texts"
            )
        text = self._prompt(prompt, prompt_name)
        unit = bool(normalize_embeddings) or self.manifest.normalize
        pipeline = self._pipeline(self._sentence)
        # A mean of windows and a shortened vector are no unit vectors any more.
        again = unit and (not self.manifest.normalize or truncate_dim is not None or overflow == "split")

        def pieces() -> Iterator[Encoded]:
            for piece in pipeline.stream(texts, text, overflow):
                vectors = piece.embeddings[:, :truncate_dim]
                yield piece.with_embeddings(quantizer(normalize(vectors) if again else vectors))

        return pieces()

    def _check(self, normalize_embeddings: bool | None, truncate_dim: int | None) -> None:
        if normalize_embeddings is False and self.manifest.normalize:
            raise UsageError(
                "normalize_embeddings=False, but this bundle's graph gives unit vectors. "
                "Export the checkpoint with --no-normalize for raw ones"
            )
        if truncate_dim is not None and not (is_count(truncate_dim) and truncate_dim <= self.dimension):
            raise UsageError(f"truncate_dim is {truncate_dim!r}, expected 1 to {self.dimension}")

    def tokenize(
        self,
        texts: str | Sequence[Text],
        *,
        prompt_name: str | None = None,
        prompt: str | None = None,
        overflow: Overflow = "warn",
    ) -> PackedBatch:
        """Token ids as the model sees them: prompt and special tokens included, cut to `max_length`.

        A text may be a pair, which is a tuple of two strings, as `classify` takes it; the batch has token types then.
        """
        sequence: Sequence[Text] = [texts] if isinstance(texts, str) else as_sequence(texts)
        pairs = any(isinstance(text, tuple) for text in sequence)
        tokens = self._tokenizer.tokenize(sequence, self._prompt(prompt, prompt_name), overflow, pairs=pairs)
        self._warn(overflow, tokens.truncated, tokens.dropped, len(sequence))
        return tokens.rows

    def encode_tokens(self, batch: PackedBatch) -> Float32:
        """Vectors of texts that are tokenized already, as the graph gives them: float32 [len(batch), dim].

        For token ids from elsewhere, and to compare engines on the same ids. `UsageError` for a text above `max_length`
        and for ids that the model does not know.
        """
        if not isinstance(batch, PackedBatch):
            raise UsageError(
                f"batch is of type {type(batch).__name__}. Make one with PackedBatch.pack(lists of token ids)"
            )
        longest = int(batch.lengths.max(initial=0))
        if longest > self.max_length:
            raise UsageError(f"a text has {longest} tokens, expected at most {self.max_length}. Cut it before")
        known = self.manifest.spec.get("vocab_size")
        if isinstance(known, int) and len(ids := batch.input_ids) and not 0 <= ids.min() <= ids.max() < known:
            raise UsageError(
                f"token ids go from {ids.min()} to {ids.max()}, this model knows 0 to {known - 1}. Tokenize with this "
                "bundle's tokenizer"
            )
        return self._pipeline(self._sentence).run(batch)

    def __enter__(self) -> Self:
        return self

    def __reduce__(self) -> tuple[Any, tuple[()]]:
        return self._reopen, ()


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
