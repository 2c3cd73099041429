"""What the vectors are worth on real texts, beside the speed that was paid for it."""

from statistics import median
from typing import Any

from benchmarks import engines, models, tables, texts
from benchmarks.contest import Contender, open_all
from benchmarks.parity import Reference
from benchmarks.suites import Settings, blank
from benchmarks.tasks import TASKS
from benchmarks.workers import EngineError, Worker

HELP = "similarity, retrieval and bitext on real texts (--texts DIR), with the loss to float32 and the speed"
MODELS = ("tests/data/rope-e5-tiny-ru",)
_BATCH = 16  # texts a batch for engines that pad
_SPEED_TEXTS = 256


def run(settings: Settings) -> dict[str, Any]:
    """Every engine on every task whose file is there."""
    result = blank(settings)
    if settings.texts is None:
        result["failures"].append("quality needs real texts: give their folder with --texts DIR")
        return result | {"tables": [tables.heading(result)]}
    tasks = [task for task in TASKS if (settings.texts / f"{task.file}.jsonl").is_file()]
    result["absent"] += [f"{task.name}: the folder holds no {task.file}.jsonl" for task in TASKS if task not in tasks]
    blocks = []
    for name in settings.models:
        model = models.find(name)
        reference = Reference(model, settings.threads)
        result["models"][model.name] = model.facts() | {"reference": reference.name}
        settings.say(f"{model.name}: {reference.name}")
        baseline = {task.name: task.score(settings.texts, _encoder(reference.worker, model, 1)) for task in tasks}
        reference.close()
        rows = []
        for contender in open_all(model, engines.find(list(settings.engines)), settings.threads, result, settings.say):
            try:
                rows.append(_measure(contender, model, settings, baseline))
            except EngineError as error:
                result["failures"].append(f"{model.name}: {contender.name}: {error}")
            contender.worker.close()
        result["rows"] += rows
        blocks.append(f"## {model.name}, losses to {reference.name}\n\n{_table(rows, baseline)}")
    note = "tokens/s: one pass over passages, not interleaved and not for publication; batches of 16 where engines pad"
    return result | {"tables": [tables.heading(result, note), *blocks, *tables.absent(result)]}


def _measure(
    contender: Contender, model: models.Model, settings: Settings, baseline: dict[str, float]
) -> dict[str, Any]:
    assert settings.texts
    size = None if contender.configuration.batch_sizes == (None,) else _BATCH
    encode = _encoder(contender.worker, model, size)
    scores = {task.name: task.score(settings.texts, encode) for task in TASKS if task.name in baseline}
    passages = [row["text"] for row in texts.read(settings.texts, "passages_ru_mixed")[:_SPEED_TEXTS]]
    ids = texts.tokenize(model, passages)
    contender.worker.load(ids)
    seconds = median(contender.worker.time(size, settings.method.seconds, settings.method.warm_up)["seconds"])
    return {
        "model": model.name,
        "contender": contender.configuration.label,
        "configuration": contender.configuration.detail,
        "ours": contender.configuration.ours,
        "scores": scores,
        "losses": {name: baseline[name] - score for name, score in scores.items()},
        "tokens_per_second": sum(map(len, ids)) / seconds,
    }


def _encoder(worker: Worker, model: models.Model, batch_size: int | None) -> Any:
    prompts = dict(zip(("query", "passage"), texts.prompts(model), strict=True))

    def encode(strings: list[str], kind: str) -> Any:
        worker.load(texts.tokenize(model, [prompts[kind] + text for text in strings]))
        return worker.vectors(batch_size)

    return encode


def _table(rows: list[dict[str, Any]], baseline: dict[str, float]) -> str:
    heads = ("score (loss)", *baseline, "tokens/s")
    lines = [("float32", *(f"{score:.4f}" for score in baseline.values()), "")]
    for row in rows:
        cells = (f"{row['scores'][name]:.4f} ({row['losses'][name]:+.4f})" for name in baseline)
        speed = tables.number(row["tokens_per_second"])
        lines.append((f"{row['contender']} ({row['configuration']})", *cells, speed))
    return tables.table(heads, lines)
