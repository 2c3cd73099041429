"""What an ONNX file asks for beyond itself: operator domains and files with weights.

Read straight from the protobuf encoding before ONNX Runtime sees the file: the `onnx` package is not needed to run a
bundle, and ONNX Runtime would open whatever the file names. Weights are skipped, so this costs milliseconds.
Field numbers are those of onnx.proto.
"""

import mmap
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from strizh.runtime import containment
from strizh.runtime.bundle import Bundle
from strizh.runtime.errors import BundleError

# Who may define an operator: ONNX itself, ONNX Runtime's own extras, and strizh's library.
DOMAINS = frozenset({"", "ai.onnx", "ai.onnx.ml", "com.microsoft", "strizh"})
_MAX_DEPTH = 32  # graphs inside attributes of nodes inside graphs; an encoder has a handful

# Message -> number of a field -> message in it; every other field is skipped.
_CHILDREN = {
    "model": {7: "graph", 8: "opset", 25: "function"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "function": {7: "node", 9: "opset"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
    "tensor": {13: "entry"},
}
_DOMAIN = {"opset": 1, "node": 7, "function": 10}
_VARINT, _BYTES = 0, 2  # kinds of a field


@dataclass(slots=True)
class Needs:
    """Domains of the operators, and of each tensor kept elsewhere its `location`, `offset` and `length`.

    `engine_elsewhere`: whether a node around an engine (EPContext) names a file instead of holding it.
    """

    domains: set[str] = field(default_factory=set)
    external: list[dict[str, str]] = field(default_factory=list)
    engine_elsewhere: bool = False


def check_graph(bundle: Bundle, name: str, data: tuple[str, ...]) -> None:
    """Refuse a graph that is cut off, needs foreign operators, or keeps weights anywhere but in `data`; `BundleError`.

    `name` and `data` are files of the bundle.
    """
    try:
        needs = read_needs(bundle.path(name))
    except (ValueError, UnicodeDecodeError) as error:
        raise BundleError(f"{name} is not a whole ONNX file ({error}). Copy or export the bundle again") from None
    if foreign := needs.domains - DOMAINS:
        raise BundleError(
            f"{name} needs operators of {', '.join(map(repr, sorted(foreign)))}, "
            f"a bundle may use {', '.join(map(repr, sorted(DOMAINS)))}. Do not use this bundle"
        )
    if needs.engine_elsewhere:
        raise BundleError(f"{name} names the file of an engine, expected the engine itself. Do not use this bundle")
    sizes = {file: bundle.path(file).stat().st_size for file in data}
    for tensor in needs.external:
        location = tensor.get("location", "")
        problem = containment.problem_with(location)
        target = str(PurePosixPath(name).parent / location)
        if problem or target not in sizes:
            reason = problem or "is not one of the variant's data files"
            raise BundleError(f"{name} keeps weights in {location[:200]!r}, which {reason}. Do not use this bundle")
        offset, length = (_number(tensor.get(key, "0")) for key in ("offset", "length"))
        if offset is None or length is None or offset + length > sizes[target]:
            raise BundleError(f"{name} wants bytes beyond the end of {target}. Copy or export the bundle again")


def read_needs(path: Path) -> Needs:
    """Walk the file; `ValueError` if it is not a whole protobuf message."""
    needs = Needs()
    with path.open("rb") as stream:
        if not path.stat().st_size:
            raise ValueError("it is empty")
        with mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as buffer:
            _walk(buffer, 0, len(buffer), "model", needs, 0)
    return needs


def _walk(buffer: mmap.mmap, start: int, end: int, message: str, needs: Needs, depth: int) -> None:
    if depth > _MAX_DEPTH:
        raise ValueError(f"it is nested deeper than {_MAX_DEPTH}")
    children, domain = _CHILDREN.get(message, {}), _DOMAIN.get(message)
    entries: dict[str, str] = {}
    for number, kind, first, last in _fields(buffer, start, end):
        if kind != _BYTES:
            continue
        if number == domain:
            needs.domains.add(buffer[first:last].decode())
        elif children.get(number) == "entry":
            texts = {key: buffer[a:b].decode() for key, kind, a, b in _fields(buffer, first, last) if kind == _BYTES}
            entries[texts.get(1, "")] = texts.get(2, "")
        elif number in children:
            _walk(buffer, first, last, children[number], needs, depth + 1)
    if entries:
        needs.external.append(entries)
    if message == "attribute":
        values = {(number, kind): slice(first, last) for number, kind, first, last in _fields(buffer, start, end)}
        nothing = slice(start, start)
        name, flag = values.get((1, _BYTES), nothing), values.get((3, _VARINT), nothing)
        if buffer[name] == b"embed_mode" and buffer[flag] != b"\x01":
            needs.engine_elsewhere = True


def _fields(buffer: mmap.mmap, start: int, end: int) -> Iterator[tuple[int, int, int, int]]:
    """Number, kind, first and last byte of each field of the message in buffer[start:end], but of fixed numbers.

    A reader of ONNX takes no notice of a field whose kind is not the one that its number has.
    """
    position = start
    while position < end:
        key, position = _varint(buffer, position, end)
        kind = key & 7
        if kind == _VARINT:
            first = position
            _, position = _varint(buffer, position, end)
            yield key >> 3, kind, first, position
        elif kind in (1, 5):
            position += 8 if kind == 1 else 4
        elif kind == _BYTES:
            size, position = _varint(buffer, position, end)
            yield key >> 3, kind, position, min(position + size, end)
            position += size
        else:
            raise ValueError(f"byte {position} starts no field")
    if position != end:
        raise ValueError("it is cut off")


def _varint(buffer: mmap.mmap, position: int, end: int) -> tuple[int, int]:
    value = shift = 0
    while position < end and shift < 64:
        byte = buffer[position]
        position += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, position
        shift += 7
    raise ValueError("it is cut off" if position >= end else "it holds a number of more than 64 bits")


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 20 else None
