"""What the vectors are worth on labelled texts, engine by engine."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from benchmarks import engines, models, tables, texts
from benchmarks.contenders import Contender, open_all
from benchmarks.engines import Batch
from benchmarks.errors import UnfitOption, UnknownName
from benchmarks.parity import Reference, Vectors
from benchmarks.suites import Settings, blank
from benchmarks.workers import EngineError, Worker
from strizh.export.evaluate.find import find_tasks
from strizh.export.evaluate.task import Task, Text, interval
from strizh.kernels.reference import normalize

HELP = "similarity, retrieval and bitext on labelled texts (--texts DIR): the loss to float32"
MODELS = ("tests/data/rope-e5-tiny-ru",)
HEEDS = ("engines", "cases", "texts", "column")
TASKS = ("stsb", "xquad", "tatoeba", "docs")  # parts of file names: the others are large, or saturated
NOTES = ("float32: the score; every other line: the difference to it [its 95 % interval by the paired bootstrap]",)
_BATCH = 16  # texts a batch for engines that pad

Embed = Callable[[Task], Vectors]


def run(settings: Settings) -> dict[str, Any]:
    """Every engine on every task of the folder, as `strizh evaluate` reads it."""
    result = blank(settings)
    if settings.texts is None:
        raise UnfitOption("quality needs labelled texts: give their folder with --texts DIR")
    files = [path.stem for path in settings.texts.glob("*.jsonl")]
    usual = [name for name in TASKS if any(name in stem for stem in files)]  # or all, in a folder that has none of them
    tasks = find_tasks(settings.texts, settings.column, settings.cases or usual)
    if unknown := [name for name in settings.cases if not any(name in task.name for task in tasks)]:
        raise UnknownName(
            f"{settings.texts} holds no task named {' or '.join(unknown)}, only {', '.join(task.name for task in tasks)}"
        )
    configurations = engines.find(settings.engines)
    for model in models.find_all(settings.models):
        reference = Reference(model, settings.threads)
        settings.say(f"{model.name}: vectors to compare with")
        baseline = _measures(tasks, _embed(reference, model, 1))
        reference.close()
        result["models"][model.name] = model.facts() | {"reference": reference.name}
        rows = []
        for contender in open_all(model, configurations, settings.threads, result, settings.say):
            try:
                rows.append(_measure(contender, model, tasks, baseline, settings))
            except EngineError as error:
                result["failures"].append(f"{model.name}: {contender.name}: {error}")
            contender.worker.close()
        result["rows"] += rows
        scores = {name: measure.value for name, measure in baseline.items()}
        result["models"][model.name]["scores"] = scores
    return result


def show(result: dict[str, Any]) -> list[str]:
    """A table for each model: scores of float32, and the differences to them."""
    return tables.by_model(result, lambda rows: _table(rows, result["models"][rows[0]["model"]]["scores"]))


def _measure(
    contender: Contender, model: models.Model, tasks: Sequence[Task], baseline: dict[str, Any], settings: Settings
) -> dict[str, Any]:
    size = None if contender.configuration.batch_sizes == (None,) else _BATCH
    found = _measures(tasks, _embed(contender.worker, model, size))
    return {
        "model": model.name,
        "contender": contender.configuration.label,
        "configuration": contender.configuration.detail,
        "ours": contender.configuration.ours,
        "scores": {name: measure.value for name, measure in found.items()},
        "intervals": {name: interval(measure, baseline[name]) for name, measure in found.items()},
    }


def _measures(tasks: Sequence[Task], embed: Embed) -> dict[str, Any]:
    """Every figure of every task by its full name."""
    return {f"{task.name}, {name}": measure for task in tasks for name, measure in task.measure(embed(task)).items()}


def _embed(worker: Worker | Reference, model: models.Model, batch_size: int | None) -> Embed:
    """Unit vectors of a task's texts. The one text that stands in a task many times is computed once.

    Texts of one prompt go into a call of their own: engines that put it there by themselves know only one a call.
    """
    query, passage = texts.prompts(model)
    prompts = {"query": query, "symmetric": query, "passage": passage}

    def embed(task: Task) -> Vectors:
        vectors: dict[Text, Vectors] = {}
        for prompt in dict.fromkeys(prompts.values()):
            own = [text for text in dict.fromkeys(task.texts) if prompts[text.role] == prompt]
            strings = [prompt + text.text for text in own]
            if own:
                worker.load(Batch(texts.tokenize(model, strings)) if worker.takes_ids else Batch([], strings))
                vectors |= dict(zip(own, normalize(worker.vectors(batch_size)), strict=True))
        return np.stack([vectors[text] for text in task.texts]).astype(np.float32)

    return embed


def _table(rows: list[dict[str, Any]], scores: dict[str, float]) -> str:
    lines = [("float32", *(f"{score:.4f}" for score in scores.values()))]
    for row in rows:
        cells = (_cell(row, name, score) for name, score in scores.items())
        lines.append((tables.name(row), *cells))
    return tables.table(("", *scores), lines)


def _cell(row: dict[str, Any], name: str, score: float) -> str:
    low, high = row["intervals"][name]
    return f"{row['scores'][name] - score:+.4f} [{low:+.4f}..{high:+.4f}]"
