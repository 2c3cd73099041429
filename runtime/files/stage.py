"""A file of vectors that survives interruption: rows go to a stage, and a journal says how much of it is whole.

    OUTPUT.part      the rows so far, appended to
    OUTPUT.journal   how many texts and bytes of them are known to be good, made with what, from which texts
    OUTPUT           appears at the end, complete

The journal is replaced after the rows it speaks of are on the disk. Killed at any moment, the process leaves a journal
that is true; the next run cuts the stage there and goes on, and its output is byte for byte that of a run never killed.
"""

import dataclasses
import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import BufferedRandom
from pathlib import Path

import numpy as np

from strizh.runtime import strict_json
from strizh.runtime.errors import BundleError, DeviceError, UsageError
from strizh.runtime.files.readers import Row
from strizh.runtime.files.writers import Writer, flush

try:
    import fcntl
except ImportError:  # Windows refuses a second writer by itself where it matters: when the file is renamed
    fcntl = None  # type: ignore[assignment]


@dataclass(frozen=True, slots=True)
class Progress:
    """What is done: `texts` rows in `size` bytes, from the texts whose digest this is."""

    texts: int = 0
    size: int = 0
    digest: str = ""
    tokens: int = 0
    truncated: int = 0
    complete: bool = False


class Stage:
    """The output of one `strizh embed`, new or continued.

    `made_with` holds, by the name of its flag, everything that changes a vector: a run goes on only with the same.
    Raises `UsageError` where `output` exists, or where an interrupted run was made otherwise, unless `force`.
    """

    def __init__(self, output: Path, writer: Writer, made_with: Mapping[str, str], force: bool) -> None:
        self._output, self._writer, self._made_with = output, writer, dict(made_with)
        self._part = output.with_name(output.name + ".part")
        self._journal = output.with_name(output.name + ".journal")
        self._texts = hashlib.blake2b(digest_size=16)
        if force:
            self._journal.unlink(missing_ok=True)
        elif output.exists() and not self._journal.exists():
            raise UsageError(f"{output} exists; --force replaces it")
        self._stream: BufferedRandom | None = None  # opened when there is something to write
        self.progress = Progress()
        if self._journal.exists():
            self._continue()

    def skip(self, rows: Iterator[Row]) -> Iterator[Row]:
        """The rows that are still to be done; those passed over must be the ones that the journal knows."""
        for _ in range(self.progress.texts):
            row = next(rows, None)
            if row is None:
                break
            self._digest([row.text])
        if self.progress.texts and self._texts.hexdigest() != self.progress.digest:
            raise UsageError(
                f"the first {self.progress.texts:,} texts are not those that {self._part.name} was made from; "
                "give the input of the interrupted run, or --force to begin again"
            )
        return rows

    def append(self, texts: Sequence[str], vectors: np.ndarray, *, tokens: int, truncated: int) -> None:
        """Add rows and vouch for them. When this returns, they are there whatever happens next."""
        with self._writing():
            stream = self._stream or self._begin()
            stream.write(self._writer.rows(texts, vectors))
            flush(stream)
            self._digest(texts)
            self._record(
                Progress(
                    self.progress.texts + len(texts),
                    stream.tell(),
                    self._texts.hexdigest(),
                    self.progress.tokens + tokens,
                    self.progress.truncated + truncated,
                )
            )

    def publish(self) -> None:
        """Give the output its name."""
        with self._writing():
            if not self.progress.complete:
                (self._stream or self._begin()).close()
                self._record(dataclasses.replace(self.progress, complete=True))
            if self._part.exists():  # else an earlier run was killed after this step and before the next
                self._writer.publish(self._part, self._output, self.progress.texts)
            self._journal.unlink()

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """`DeviceError` for what the disk refuses, with what there is of the output."""
        try:
            yield
        except OSError as error:
            raise DeviceError(
                f"{self._output} cannot be written: {error.strerror or error}. {self.progress.texts:,} texts are kept in "
                f"{self._part.name}: make room or give back the right to write there, and the same command continues"
            ) from error

    def _continue(self) -> None:
        """Take up the interrupted run that the journal tells of; one that had vouched for nothing is forgotten."""
        stream = _open_alone(self._part) if self._part.exists() else None
        progress = self._read_journal()
        if progress.complete:
            self.progress = progress
        elif progress.texts:
            if stream is None or stream.seek(0, os.SEEK_END) < progress.size:
                raise UsageError(f"{self._part} lost what {self._journal.name} speaks of; --force begins again")
            stream.truncate(progress.size)
            stream.seek(progress.size)
            self.progress, self._stream = progress, stream

    def _read_journal(self) -> Progress:
        try:
            known = json.loads(self._journal.read_bytes())
            progress = strict_json.build(Progress, known["progress"], self._journal.name)
            made_with = dict(known["made_with"])
            if min(progress.texts, progress.size) < 0:
                raise ValueError(progress)
        except (ValueError, TypeError, KeyError, RecursionError, BundleError):
            raise UsageError(f"{self._journal} is not a journal of strizh; --force begins again") from None
        names = (name for name, now in self._made_with.items() if made_with.get(name) != now)
        changed = [f"{name} was {made_with.get(name, 'unset')}, is {self._made_with[name]}" for name in names]
        if changed and (progress.texts or progress.complete):
            raise UsageError(
                f"{self._part} holds {progress.texts:,} texts made otherwise: {'; '.join(changed)}. "
                "Give the same options to continue, or --force to begin again"
            )
        return progress

    def _begin(self) -> BufferedRandom:
        self._stream = _open_alone(self._part)
        self._stream.truncate(0)
        self._record(self.progress)
        self._stream.write(self._writer.head())
        return self._stream

    def _record(self, progress: Progress) -> None:
        new = self._journal.with_name(self._journal.name + ".new")
        content = {"made_with": self._made_with, "progress": dataclasses.asdict(progress)}
        with new.open("wb") as stream:
            stream.write(json.dumps(content, ensure_ascii=False, indent=1).encode())
            flush(stream)
        new.replace(self._journal)
        self.progress = progress

    def _digest(self, texts: Sequence[str]) -> None:
        for text in texts:
            encoded = text.encode()
            self._texts.update(b"%d:" % len(encoded) + encoded)


def _open_alone(path: Path) -> BufferedRandom:
    """The file open for writing, made if need be; `UsageError` while another process has it open so."""
    stream = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o666), "r+b")
    if fcntl:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            stream.close()
            raise UsageError(f"{path} is being written by another strizh embed; wait for it, or stop it") from None
    return stream
