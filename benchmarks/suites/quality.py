"""What the vectors are worth on labelled texts, beside the speed that was paid for it."""

from collections.abc import Callable, Sequence
from statistics import median
from typing import Any

import numpy as np

from benchmarks import engines, models, tables, texts
from benchmarks.contenders import Contender, open_all
from benchmarks.engines import Batch
from benchmarks.parity import Reference, Vectors
from benchmarks.suites import Settings, blank
from benchmarks.workers import EngineError, Worker
from strizh.export.evaluate.find import find_tasks
from strizh.export.evaluate.task import Task, Text, interval
from strizh.kernels.reference import normalize

HELP = "similarity, retrieval and bitext on labelled texts (--texts DIR): the loss to float32, and the speed"
MODELS = ("tests/data/rope-e5-tiny-ru",)
TASKS = ("stsb", "xquad", "tatoeba", "docs")  # parts of file names: the others are large, or saturated
_BATCH = 16  # texts a batch for engines that pad
_SPEED_TEXTS = 256

Embed = Callable[[Task], Vectors]


def run(settings: Settings) -> dict[str, Any]:
    """Every engine on every task of the folder, as `strizh evaluate` reads it."""
    result = blank(settings)
    if settings.texts is None:
        result["failures"].append("quality needs labelled texts: give their folder with --texts DIR")
        return result | {"tables": [tables.heading(result)]}
    tasks = find_tasks(settings.texts, names=TASKS)
    blocks = []
    for name in settings.models:
        model = models.find(name)
        reference = Reference(model, settings.threads)
        result["models"][model.name] = model.facts() | {"reference": reference.name}
        settings.say(f"{model.name}: {reference.name}")
        baseline = _measures(tasks, _embed(reference.worker, model, 1))
        reference.close()
        rows = []
        for contender in open_all(model, engines.of_ids(settings.engines), settings.threads, result, settings.say):
            try:
                rows.append(_measure(contender, model, tasks, baseline, settings))
            except EngineError as error:
                result["failures"].append(f"{model.name}: {contender.name}: {error}")
            contender.worker.close()
        result["rows"] += rows
        scores = {name: measure.value for name, measure in baseline.items()}
        result["models"][model.name]["scores"] = scores
        blocks.append(f"## {model.name}: score, and its difference to {reference.name}\n\n{_table(rows, scores)}")
    notes = (
        "[low..high]: 95 % interval of the difference by the paired bootstrap",
        "tokens/s: passages, not interleaved and not for publication; batches of 16 where engines pad",
    )
    return result | {"tables": [tables.heading(result, *notes), *blocks, *tables.absent(result)]}


def _measure(
    contender: Contender, model: models.Model, tasks: Sequence[Task], baseline: dict[str, Any], settings: Settings
) -> dict[str, Any]:
    size = None if contender.configuration.batch_sizes == (None,) else _BATCH
    found = _measures(tasks, _embed(contender.worker, model, size))
    passages = [text.text for task in tasks for text in task.texts if text.role == "passage"][:_SPEED_TEXTS]
    ids = texts.tokenize(model, passages or [text.text for text in tasks[0].texts])
    contender.worker.load(Batch(ids))
    contender.worker.time(size, settings.method.warm_up)
    seconds = median(contender.worker.time(size, settings.method.seconds)["seconds"])
    return {
        "model": model.name,
        "contender": contender.configuration.label,
        "configuration": contender.configuration.detail,
        "ours": contender.configuration.ours,
        "scores": {name: measure.value for name, measure in found.items()},
        "intervals": {name: interval(measure, baseline[name]) for name, measure in found.items()},
        "tokens_per_second": sum(map(len, ids)) / seconds,
    }


def _measures(tasks: Sequence[Task], embed: Embed) -> dict[str, Any]:
    """Every figure of every task by its full name."""
    return {f"{task.name}, {name}": measure for task in tasks for name, measure in task.measure(embed(task)).items()}


def _embed(worker: Worker, model: models.Model, batch_size: int | None) -> Embed:
    """Unit vectors of a task's texts. The one text that stands in a task many times is computed once."""
    query, passage = texts.prompts(model)
    prompts = {"query": query, "symmetric": query, "passage": passage}

    def embed(task: Task) -> Vectors:
        own: list[Text] = list(dict.fromkeys(task.texts))
        worker.load(Batch(texts.tokenize(model, [prompts[text.role] + text.text for text in own])))
        vectors = dict(zip(own, normalize(worker.vectors(batch_size)), strict=True))
        return np.stack([vectors[text] for text in task.texts]).astype(np.float32)

    return embed


def _table(rows: list[dict[str, Any]], scores: dict[str, float]) -> str:
    lines = [("float32", *(f"{score:.4f}" for score in scores.values()), "")]
    for row in rows:
        cells = (_cell(row, name, score) for name, score in scores.items())
        lines.append((f"{row['contender']} ({row['configuration']})", *cells, tables.number(row["tokens_per_second"])))
    return tables.table(("", *scores, "tokens/s"), lines)


def _cell(row: dict[str, Any], name: str, score: float) -> str:
    low, high = row["intervals"][name]
    return f"{row['scores'][name] - score:+.4f} [{low:+.4f}..{high:+.4f}]"
