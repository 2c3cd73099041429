"""JSON read as strictly as data from a stranger deserves, and turned into frozen dataclasses by their annotations.

Python's own parser takes `NaN`, lets the last of two equal keys win and dies of deep nesting; here each is an error.
"""

import dataclasses
import json
import math
import types
import typing
from collections.abc import Iterable
from typing import Any, TypeVar

from strizh.runtime.errors import BundleError

T = TypeVar("T")


def parse(text: str, what: str) -> Any:
    """Parse one JSON document; `what` names it in the `BundleError`."""
    try:
        return json.loads(text, object_pairs_hook=_unique, parse_constant=_refuse_constant, parse_float=_finite)
    except RecursionError:
        problem = "it is nested too deeply"
    except ValueError as error:
        problem = str(error)
    raise BundleError(f"{what} is not valid JSON: {problem}. It was damaged or edited; export the bundle again")


def build(cls: type[T], data: Any, at: str) -> T:
    """Make the dataclass `cls` of parsed JSON, with no key missing, unknown or of another type; else `BundleError`."""
    if not isinstance(data, dict):
        raise BundleError(f"{at} is {_kind(data)}, expected an object. Export the bundle again")
    assert dataclasses.is_dataclass(cls)
    fields = {field.name: field for field in dataclasses.fields(cls)}
    required = {name for name, field in fields.items() if _is_required(field)}
    if problems := _listed("unknown", data.keys() - fields.keys()) + _listed("missing", required - data.keys()):
        raise BundleError(f"{at} has {' and '.join(problems)}. Export the bundle again with this version of strizh")
    hints = typing.get_type_hints(cls)
    return cls(**{name: _value(hints[name], value, f"{at}: {name}") for name, value in data.items()})


def _value(hint: Any, value: Any, at: str) -> Any:
    """`value` as the annotation `hint` wants it; lists become tuples, objects become dataclasses."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):  # only `X | None` occurs
        return None if value is None else _value(arguments[0], value, at)
    if origin is tuple and isinstance(value, list):
        return tuple(_value(arguments[0], item, f"{at}[{index}]") for index, item in enumerate(value))
    if origin is dict and isinstance(value, dict):
        if arguments[1] is Any:
            return value
        return {key: _value(arguments[1], item, f"{at}[{key!r}]") for key, item in value.items()}
    if dataclasses.is_dataclass(hint):
        return build(typing.cast(type[Any], hint), value, at)
    if origin is None and type(value) is hint:  # `type`, not isinstance: true is no integer here
        return value
    expected = {tuple: "a list", dict: "an object", int: "a whole number", bool: "true or false", str: "a string"}
    raise BundleError(f"{at} is {_kind(value)}, expected {expected[origin or hint]}. Export the bundle again")


def _is_required(field: "dataclasses.Field[Any]") -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def _listed(adjective: str, keys: Iterable[str]) -> list[str]:
    return [f"{adjective} keys {', '.join(repr(key) for key in sorted(keys))}"] if keys else []


def _kind(value: Any) -> str:
    names = {dict: "an object", list: "a list", str: "a string", bool: "true or false", type(None): "null"}
    return names.get(type(value), f"the number {value!r}"[:60])


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f"the key {next(key for key in keys if keys.count(key) > 1)!r} occurs twice in one object")
    return result


def _finite(text: str) -> float:
    if not math.isfinite(number := float(text)):
        raise ValueError(f"{text[:40]} is beyond the range of numbers")
    return number


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON number")
