"""Texts out of .txt, .jsonl, .csv and .parquet files, one at a time, whatever the file's size.

A row that cannot be read stops the run with its line number: a text that was skipped would shift every later vector.
"""

import csv
import json
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from strizh.runtime.errors import MissingExtra, UsageError

DEFAULT_COLUMN = "text"
STANDARD_INPUT = "-"
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")
_PARQUET_ROWS = 256  # read at once


@dataclass(frozen=True, slots=True)
class Row:
    """One text, and how far into its source it ends (bytes, or rows of a table)."""

    text: str
    position: int


@dataclass(frozen=True, slots=True)
class Source:
    """Where texts come from. `total` is in the unit of `Row.position`; None where it cannot be known."""

    name: str
    total: int | None
    rows: Iterator[Row]


def open_texts(path: str, column: str | None = None, flag: str | None = "--column") -> Source:
    """The texts of a file, its format told by its ending; `-` is standard input, one text a line.

    `column` names the column of .csv and .parquet, or the key of .jsonl objects. Without it: `text`, or the only
    column there is. `flag` is the caller's option for it, None without one: messages say it as the way out. Raises
    `UsageError` for what cannot be read, when it is reached.
    """
    if path == STANDARD_INPUT:
        _refuse_column(column, "standard input")
        if sys.stdin is None:
            raise UsageError("standard input is closed; give a file of texts, or send texts through a pipe")
        return Source("standard input", None, _plain_lines("standard input", sys.stdin.buffer))
    suffix = Path(path).suffix.lower()
    if suffix not in _READERS and suffix != ".parquet":
        known = ", ".join([*_READERS, ".parquet"])
        raise UsageError(
            f"{path}: the ending {suffix or '(none)'!r} names no format of texts; known are {known}, "
            "and - is standard input, a text a line"
        )
    if not Path(path).is_file():
        what = "is no ordinary file" if Path(path).exists() else "there is no such file"
        raise UsageError(f"{path}: {what}; give a file of texts, or - for standard input")
    if suffix == ".parquet":
        return _parquet(path, column, flag)
    return Source(Path(path).name, Path(path).stat().st_size, _READERS[suffix](path, column, flag))


def _text(path: str, column: str | None, flag: str | None) -> Iterator[Row]:
    _refuse_column(column, path)
    with Path(path).open("rb") as stream:
        yield from _plain_lines(path, stream)


def _plain_lines(name: str, stream: BinaryIO) -> Iterator[Row]:
    for _, line, end in _lines(name, stream):
        yield Row(line.removesuffix("\n").removesuffix("\r"), end)


def _jsonl(path: str, column: str | None, flag: str | None) -> Iterator[Row]:
    key = column
    with Path(path).open("rb") as stream:
        for number, line, end in _lines(path, stream):
            place = f"{path}, line {number}"
            try:
                value = json.loads(line)
            except (ValueError, RecursionError) as error:
                raise UsageError(f"{place}: not JSON ({error}); a line holds one string or one object") from None
            if isinstance(value, dict):
                key = key or _choose(place, tuple(value), flag)
                if key not in value:
                    raise UsageError(f"{place}: no key {key!r}; the object has {_listed(value)}")
                value = value[key]
            if not isinstance(value, str):
                raise UsageError(f"{place}: the text is {_kind(value)}, expected a string")
            if _LONE_SURROGATE.search(value):
                raise UsageError(f"{place}: half of a surrogate pair (\\ud800 to \\udfff), which is no Unicode text")
            yield Row(value, end)


def _csv(path: str, column: str | None, flag: str | None) -> Iterator[Row]:
    csv.field_size_limit(2**31 - 1)  # the default of 128 KiB is less than one long text
    position = 0

    def lines(stream: BinaryIO) -> Iterator[str]:
        nonlocal position
        for _, line, end in _lines(path, stream):
            position = end
            yield line

    with Path(path).open("rb") as stream:
        reader = csv.reader(lines(stream), strict=True)
        try:
            header = next(reader, None)
            if header is None:
                raise UsageError(f"{path}: empty; a .csv file begins with a line that names its columns")
            divider = re.search("[;\t|]", header[0]) if column is None and len(header) == 1 else None
            key = column or _choose(path, tuple(header), flag)
            if header.count(key) != 1:
                problem = f"two columns {key!r}" if key in header else f"no column {key!r}"
                raise UsageError(f"{path}: {problem}; its columns are {_listed(header)}")
            index = header.index(key)
            for fields in reader:
                if divider and any(divider.group() in field for field in fields):  # in the first row too
                    raise UsageError(
                        f"{path}: its one column would be {header[0]!r}: fields are separated by commas here, not by "
                        f"{divider.group()!r}; convert the file{_or_choose('that column', flag)}"
                    )
                divider = None
                if len(fields) != len(header):
                    place = f"{path}, line {reader.line_num}"
                    raise UsageError(f"{place}: {len(fields)} fields, expected {len(header)} as in the first line")
                yield Row(fields[index], position)
        except csv.Error as error:
            raise UsageError(f"{path}, line {reader.line_num}: not CSV ({error})") from None


def _parquet(path: str, column: str | None, flag: str | None) -> Source:
    try:
        import pyarrow
        from pyarrow import parquet
    except ModuleNotFoundError:
        raise MissingExtra("pyarrow", "parquet", "reading .parquet") from None
    try:
        table = parquet.ParquetFile(path)
    except pyarrow.ArrowInvalid as error:
        raise UsageError(f"{path}: not a Parquet file ({error})") from None
    names = table.schema_arrow.names
    key = column or _choose(path, tuple(names), flag)
    if key not in names:
        raise UsageError(f"{path}: no column {key!r}; its columns are {_listed(names)}")

    def rows() -> Iterator[Row]:
        number = 0
        with table:
            batches = table.iter_batches(batch_size=_PARQUET_ROWS, columns=[key])
            while True:
                try:
                    batch = next(batches, None)
                    values = batch.column(0).to_pylist() if batch else ()
                except (pyarrow.ArrowException, OSError, UnicodeDecodeError) as error:
                    why = " ".join(str(error).split())
                    raise UsageError(f"{path}: damaged behind row {number} ({why}); write the file again") from None
                if batch is None:
                    return
                for value in values:
                    number += 1
                    if not isinstance(value, str):
                        raise UsageError(f"{path}, row {number}: the text is {_kind(value)}, expected a string")
                    yield Row(value, number)

    return Source(Path(path).name, table.metadata.num_rows, rows())


_READERS: dict[str, Callable[[str, str | None, str | None], Iterator[Row]]] = {
    ".txt": _text,
    ".jsonl": _jsonl,
    ".csv": _csv,
}


def _lines(name: str, stream: BinaryIO) -> Iterator[tuple[int, str, int]]:
    """(number from 1, line with its ending, offset of its end); the byte order mark that Windows writes is dropped."""
    end = 0
    for number, line in enumerate(stream, start=1):
        end += len(line)
        if number == 1:
            line = line.removeprefix(_BYTE_ORDER_MARK)
            if not line:  # the mark was all there is
                return
        try:
            yield number, line.decode(), end
        except UnicodeDecodeError as error:
            byte = line[error.start]
            raise UsageError(
                f"{name}, line {number}: byte 0x{byte:02x} is not UTF-8; convert it, e.g. iconv -f cp1251 -t utf-8"
            ) from None


def _choose(path: str, names: tuple[str, ...], flag: str | None) -> str:
    if DEFAULT_COLUMN in names:
        return DEFAULT_COLUMN
    if len(names) == 1:
        return names[0]
    raise UsageError(
        f"{path}: no column {DEFAULT_COLUMN!r} among {_listed(names)}; "
        f"call one of them {DEFAULT_COLUMN!r}{_or_choose('it', flag)}"
    )


def _or_choose(what: str, flag: str | None) -> str:
    return f", or choose {what} with {flag}" if flag else ""


def _refuse_column(column: str | None, name: str) -> None:
    if column:
        raise UsageError(f"--column {column}: {name} has no columns, every line of it is one text")


def _kind(value: object) -> str:
    return "null" if value is None else f"of type {type(value).__name__}"


def _listed(names: Any) -> str:
    return ", ".join(repr(name) for name in names) or "none"
