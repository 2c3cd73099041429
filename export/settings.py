"""The JSON files of a checkpoint, read field by field: a wrong value is named with its key and its file."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from strizh.runtime.errors import CheckpointError

_MOST = 2**31 - 1
_KINDS: dict[type, str] = {dict: "an object", list: "a list"}
_LARGEST = 1e12  # beyond every eps, theta and factor; products of two stay finite


@dataclass(frozen=True, slots=True)
class Settings:
    """One JSON object of a checkpoint. `at` says where it stands: the file, and the keys that lead into it.

    null counts as a field that is not there. For such a field a reader gives its `default`, without one it raises, and so it
    does for a value of another kind than it reads: `CheckpointError`.
    """

    at: str
    fields: dict[str, Any]
    spelled: Mapping[str, str] = field(default_factory=dict)  # a field's usual name -> its name in this object

    def has(self, key: str) -> bool:
        """Whether the field is there."""
        return self._stored(key) is not None

    def count(self, key: str, default: int | None = None, *, most: int = _MOST) -> int:
        """How many of something there are, at least one."""
        return self._whole(key, default, f"a whole number from 1 to {most}", 1, most)

    def index(self, key: str, default: int | None = None) -> int:
        """A whole number from 0 on."""
        return self._whole(key, default, "a whole number of at least 0", 0, _MOST)

    def whole(self, key: str, default: int | None = None) -> int:
        """A whole number, which may be negative."""
        return self._whole(key, default, "a whole number", -_MOST, _MOST)

    def positive(self, key: str, default: float | None = None) -> float:
        """A number above 0."""
        expected = f"a number above 0 and at most {_LARGEST:g}"
        return float(self._read(key, default, expected, lambda value: _is_number(value) and 0 < value <= _LARGEST))

    def flag(self, key: str, default: bool = False) -> bool:
        """true or false."""
        return bool(self._read(key, default, "true or false", lambda value: isinstance(value, bool)))

    def text(self, key: str, default: str | None = None) -> str:
        """A string."""
        return str(self._read(key, default, "a string", lambda value: isinstance(value, str)))

    def texts(self, key: str) -> tuple[str, ...]:
        """A list of strings; empty where it is not there."""
        return tuple(self._read(key, (), "a list of strings", _is_list_of_strings))

    def text_or_texts(self, key: str) -> tuple[str, ...]:
        """A string, or a list of them; empty where it is not there."""
        return (self.text(key),) if isinstance(self._stored(key), str) else self.texts(key)

    def all_texts(self) -> dict[str, str]:
        """Every field, each a string."""
        return {key: self.text(key) for key in self.fields}

    def section(self, key: str) -> "Settings":
        """The object under a key; empty where it is not there."""
        value = self._read(key, {}, "an object", lambda value: isinstance(value, dict))
        return Settings(f"{self.at}: {self.name(key)}", value)

    def other_than(self, usual: Mapping[str, Any]) -> dict[str, Any]:
        """The fields that have another value than the `usual` one."""
        return {key: self._stored(key) for key, value in usual.items() if self.has(key) and self._stored(key) != value}

    def wrong(self, key: str, expected: str) -> CheckpointError:
        """The error that says what a field has and what was expected of it."""
        name, shown = self.name(key), json.dumps(self._stored(key), ensure_ascii=False)
        shown = shown if len(shown) <= 60 else f"{shown[:60]}..."
        found = f"has {name} {shown}" if name in self.fields else f"has no {name}"
        return CheckpointError(f"{self.at} {found}; expected {expected}. Compare it with the published one.")

    def name(self, key: str) -> str:
        """What a field is called here."""
        return self.spelled.get(key, key)

    def _stored(self, key: str) -> Any:
        return self.fields.get(self.name(key))

    def _read(self, key: str, default: Any, expected: str, fits: Callable[[Any], bool]) -> Any:
        value = self._stored(key)
        if value is None and default is not None:
            return default
        if not fits(value):
            raise self.wrong(key, expected)
        return value

    def _whole(self, key: str, default: int | None, expected: str, least: int, most: int) -> int:
        def fits(value: Any) -> bool:
            return _is_number(value) and least <= value <= most and value % 1 == 0

        return int(self._read(key, default, expected, fits))


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_list_of_strings(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(one, str) for one in value)


def read_settings(path: Path) -> Settings:
    """The object that a file holds. Raises `CheckpointError`."""
    return Settings(str(path), read_json(path, dict))


def read_json(path: Path, kind: type) -> Any:
    """Parse a JSON file whose top level is `kind`; raises `CheckpointError` with the file's name."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise CheckpointError(f"{path} is missing. Download the checkpoint again.") from error
    except (ValueError, OSError, RecursionError) as error:
        raise CheckpointError(f"{path} is not readable JSON ({error}). Download it again.") from error
    if not isinstance(value, kind):
        found = _KINDS.get(type(value), f"the value {json.dumps(value)[:60]}")
        raise CheckpointError(f"{path} holds {found}; expected {_KINDS[kind]}. Compare it with the published one.")
    return value
