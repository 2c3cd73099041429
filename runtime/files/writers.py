"""Vectors into .npy, .jsonl and .parquet files.

While a run lasts its rows are appended to a stage file, so that after any interruption the stage is cut at the last
row that is known to be whole and the run goes on from there. `publish` then gives the stage its final form and name.
"""

import io
import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from strizh.runtime.errors import MissingExtra, UsageError

_NPY_HEADER = 128  # bytes: room for any number of rows, and a multiple of 64 as the format asks
_ROW_GROUP = 16 << 20  # bytes of a Parquet row group before compression


class Writer(Protocol):
    """One output format as bytes that only ever grow at their end."""

    def head(self) -> bytes:
        """What the stage begins with."""

    def rows(self, texts: Sequence[str], vectors: np.ndarray) -> bytes:
        """The bytes of some texts with their vectors, [len(texts), dimension] of the writer's type."""

    def publish(self, stage: Path, output: Path, count: int) -> None:
        """Make `output` from a stage of `count` rows. May be repeated after an interruption."""


def check_output(output: str, source: str) -> None:
    """`UsageError` unless `output` can be written: found out before any work is done."""
    path = Path(output)
    if path.suffix.lower() not in _WRITERS:
        raise UsageError(f"--output {output}: the ending names no format of vectors; known are {', '.join(_WRITERS)}")
    check_place("--output", path)
    _check_writable("--output", path, path.absolute().parent)  # the stage lies there
    if path.exists() and Path(source).exists() and path.samefile(source):
        raise UsageError(f"--output {output} is the input itself; give it another name")


def check_place(flag: str, path: Path) -> None:
    """`UsageError` unless a file can be made or written over there; `flag` is the option that names it."""
    folder = path.absolute().parent
    if not folder.is_dir():
        raise UsageError(f"{flag} {path}: its folder does not exist; make it first")
    if path.is_dir():
        raise UsageError(f"{flag} {path} is a folder; give the name of a file")
    _check_writable(flag, path, path if path.exists() else folder)


def _check_writable(flag: str, path: Path, place: Path) -> None:
    if not os.access(place, os.W_OK):
        raise UsageError(f"{flag} {path}: you may not write there; give a place in a folder of yours")


def writer_for(output: str, dimension: int, dtype: Any = np.float32) -> Writer:
    """The writer that the ending of `output` names, for vectors of this many numbers of float32, int8 or uint8."""
    return _WRITERS[Path(output).suffix.lower()](dimension, np.dtype(dtype).newbyteorder("<"))


class NumpyWriter:
    """An array [texts, dimension], row i for text i. The number of rows is put into the header at the end."""

    def __init__(self, dimension: int, dtype: "np.dtype[Any]") -> None:
        self._dimension, self._dtype = dimension, dtype

    def head(self) -> bytes:
        return self._header(0)

    def rows(self, texts: Sequence[str], vectors: np.ndarray) -> bytes:
        return np.ascontiguousarray(vectors, dtype=self._dtype).tobytes()

    def publish(self, stage: Path, output: Path, count: int) -> None:
        with stage.open("r+b") as stream:
            stream.write(self._header(count))
            flush(stream)
        stage.replace(output)

    def _header(self, count: int) -> bytes:
        """Version 1.0 of numpy.lib.format, padded to a size that does not depend on `count`."""
        buffer = io.BytesIO()
        shape = (count, self._dimension)
        np.lib.format.write_array_header_1_0(buffer, {"descr": self._dtype.str, "fortran_order": False, "shape": shape})
        written = buffer.getvalue()
        padding = _NPY_HEADER - len(written)
        length = (_NPY_HEADER - 10).to_bytes(2, "little")
        return written[:8] + length + written[10:-1] + b" " * padding + b"\n"


class JsonLinesWriter:
    """One object a line: {"text": ..., "embedding": [...]}."""

    def __init__(self, dimension: int, dtype: "np.dtype[Any]") -> None:
        self._numbers = ", ".join(
            ["%.9g"] * dimension
        )  # nine digits tell any two float32 apart, and whole numbers stay

    def head(self) -> bytes:
        return b""

    def rows(self, texts: Sequence[str], vectors: np.ndarray) -> bytes:
        lines = (
            f'{{"text": {json.dumps(text, ensure_ascii=False)}, "embedding": [{self._numbers % tuple(vector.tolist())}]}}\n'
            for text, vector in zip(texts, vectors, strict=True)
        )
        return "".join(lines).encode()

    def publish(self, stage: Path, output: Path, count: int) -> None:
        stage.replace(output)


class ParquetWriter:
    """Columns `text` (string) and `embedding` (list of fixed size).

    A Parquet file cannot be continued once its process is gone, so the stage is an Arrow stream, which can.
    """

    def __init__(self, dimension: int, dtype: "np.dtype[Any]") -> None:
        try:
            import pyarrow
        except ModuleNotFoundError:
            raise MissingExtra("pyarrow", "parquet", "writing .parquet") from None
        self._arrow = pyarrow
        self._dimension, self._dtype = dimension, dtype
        numbers = pyarrow.list_(pyarrow.from_numpy_dtype(dtype), dimension)
        self._schema = pyarrow.schema([("text", pyarrow.string()), ("embedding", numbers)])

    def head(self) -> bytes:
        return bytes(self._schema.serialize())

    def rows(self, texts: Sequence[str], vectors: np.ndarray) -> bytes:
        flat = self._arrow.array(np.ascontiguousarray(vectors, dtype=self._dtype).ravel())
        columns = [
            self._arrow.array(texts, self._arrow.string()),
            self._arrow.FixedSizeListArray.from_arrays(flat, self._dimension),
        ]
        return bytes(self._arrow.record_batch(columns, schema=self._schema).serialize())

    def publish(self, stage: Path, output: Path, count: int) -> None:
        from pyarrow import ipc, parquet

        whole = output.with_name(output.name + ".whole")
        with stage.open("rb") as source, ipc.open_stream(source) as batches, whole.open("wb") as target:
            with parquet.ParquetWriter(target, self._schema, write_statistics=False) as table:
                for group in _groups(batches):
                    table.write_table(self._arrow.Table.from_batches(group, self._schema))
            flush(target)
        whole.replace(output)
        stage.unlink()


def _groups(batches: Iterable[Any]) -> Iterator[list[Any]]:
    """Arrow batches gathered into row groups: the footer, which is kept in memory, grows with their number."""
    group: list[Any] = []
    for batch in batches:
        group.append(batch)
        if sum(member.nbytes for member in group) >= _ROW_GROUP:
            yield group
            group = []
    if group:
        yield group


_WRITERS: dict[str, Callable[[int, "np.dtype[Any]"], Writer]] = {
    ".npy": NumpyWriter,
    ".jsonl": JsonLinesWriter,
    ".parquet": ParquetWriter,
}


def flush(stream: io.BufferedIOBase) -> None:
    """Put what was written on the disk, not only on its way there."""
    stream.flush()
    os.fsync(stream.fileno())
