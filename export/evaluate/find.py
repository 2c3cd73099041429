"""The tasks of a folder of jsonl files."""

import json
from collections.abc import Sequence
from pathlib import Path

from strizh.export.evaluate import bitext, classification, paraphrase, retrieval, sts
from strizh.export.evaluate.task import Row, Task
from strizh.runtime.errors import UsageError


def find_tasks(folder: Path, column: str = "text", names: Sequence[str] = (), limit: int | None = None) -> list[Task]:
    """The tasks that the files of `folder` hold; files whose keys make no task are left out.

    A file's kind shows in the keys of its first row. `column` is the side that is read: `text`, or `en` for English.
    `names` keeps the files whose name contains one of them; each has to be in some. `limit` takes the first rows of each
    file, but of the passages of a search all, so that it stays as hard as it is.
    """
    if not folder.is_dir():
        raise UsageError(f"{folder} is not a folder; expected one with .jsonl files of labelled texts.")
    files = sorted(folder.glob("*.jsonl"))
    for name in names:
        if files and not any(name and name in path.stem for path in files):
            stems = ", ".join(path.stem for path in files)
            raise UsageError(f"{name!r} names no file of {folder}; expected a part of one of {stems}.")
    files = [path for path in files if not names or any(name in path.stem for name in names)]
    tasks = [task for path in files if (task := _task(path, column, limit))]
    if not tasks:
        asked = f" named {', '.join(names)}" if names else ""
        raise UsageError(
            f"{folder} holds no .jsonl file{asked} with a task for column {column!r}. "
            "`strizh evaluate --help` lists the keys that make one."
        )
    return tasks


def _task(path: Path, column: str, limit: int | None) -> Task | None:
    try:
        task = _read(path, column, limit)
    except (TypeError, ValueError) as error:
        raise UsageError(f"{path} holds a value of the wrong type ({error}); expected strings and numbers.") from error
    for text in task.texts if task else ():
        if not isinstance(text.text, str):
            raise UsageError(f"{path} has the text {text.text!r:.80}; expected a string.")
    return task


def _read(path: Path, column: str, limit: int | None) -> Task | None:
    rows = _rows(path)
    name = path.stem if column == "text" else f"{path.stem} [{column}]"
    if "ctx" in rows[0] and _passages_of(path).is_file():
        return retrieval.read_questions(name, rows[:limit], _rows(_passages_of(path)), column)
    if _is_passages(path):
        return None
    return (
        retrieval.read_titles(name, rows, column)
        or sts.read(name, rows[:limit], column)
        or paraphrase.read(name, rows[:limit], column)
        or classification.read(name, rows[:limit], column)
        or (bitext.read(name, rows[:limit]) if column == "text" else None)
    )


def _passages_of(path: Path) -> Path:
    return path.with_name(path.name.replace("questions", "paragraphs"))


def _is_passages(path: Path) -> bool:
    questions = path.with_name(path.name.replace("paragraphs", "questions"))
    return questions != path and questions.is_file()


def _rows(path: Path) -> Sequence[Row]:
    rows = []
    try:
        text = path.read_text(encoding="utf-8-sig").rstrip("\n")
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is not UTF-8 ({error}); convert it, e.g. iconv -f cp1251 -t utf-8.") from error
    for number, line in enumerate(text.split("\n") if text else (), 1):
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise UsageError(f"{path} line {number} is not JSON ({error}); expected one object a line.") from error
        if not isinstance(row, dict):
            raise UsageError(f"{path} line {number} is {type(row).__name__}; expected one JSON object a line.")
        rows.append(Row(row))
        rows[-1].place = f"{path} line {number}"
    if not rows:
        raise UsageError(f"{path} is empty; expected one JSON object a line.")
    return rows
