"""Vectors beside PyTorch's in float32, by length and by company: how close, and whether a text's neighbours change it."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks import engines, models, parity, tables, texts
from benchmarks.contenders import Contender, open_all
from benchmarks.engines import Batch
from benchmarks.suites import Settings, blank
from benchmarks.workers import EngineError
from benchmarks.workloads import Case, passage_lengths

HELP = "cosine to PyTorch float32 by length, and what a text's neighbours change"
MODELS = ("e5-small",)
HEEDS = ("engines", "texts")
NOTES = ("batch: mixed lengths together; alone: the same texts one by one",)
BUCKETS = ((1, 16), (17, 128), (129, 512), (513, 8192))  # tokens
_TEXTS = 400
_A_BUCKET = 24
_BATCH = 8  # texts a batch for engines that pad: neighbours of other lengths, as in real use


def run(settings: Settings) -> dict[str, Any]:
    """Nothing is timed."""
    result = blank(settings)
    configurations = engines.of_ids(settings.engines)
    for model in models.find_all(settings.models):
        reference, chosen = parity.Reference(model, settings.threads), _texts(model, settings)
        settings.say(f"{model.name}: {len(chosen)} texts, vectors to compare with")
        reference.load(Batch(chosen))
        expected = reference.vectors()
        reference.close()
        result["models"][model.name] = model.facts() | {"reference": reference.name}
        rows = []
        for contender in open_all(model, configurations, settings.threads, result, settings.say):
            try:
                rows += _measure(contender, model, chosen, expected)
            except EngineError as error:
                result["failures"].append(f"{model.name}: {contender.name}: {error}")
            contender.worker.close()
        result["rows"] += rows
        result["failures"] += [
            f"{model.name}: {row['contender']}, {row['tokens']} tokens: {'; '.join(row['misses'])}"
            for row in rows
            if row["misses"]
        ]
    return result


def show(result: dict[str, Any]) -> list[str]:
    """A table for each model."""
    return tables.by_model(result, _table)


def _texts(model: models.Model, settings: Settings) -> list[NDArray[np.int32]]:
    """Real passages where they are given and the weights are real; ids of the same lengths otherwise."""
    if settings.texts and model.real:
        passage = texts.prompts(model)[1]
        rows = texts.read(settings.texts, "passages_ru_mixed")
        found = texts.tokenize(model, [passage + row["text"] for row in rows])
    else:
        lengths = tuple(min(length, model.longest) for length in (*passage_lengths(_TEXTS), 1, 2, 15, 16, 17, 31, 33))
        found = Case("parity", lengths, "tokens/s").token_ids(model.vocab_size)
    return [ids for low, high in BUCKETS for ids in [ids for ids in found if low <= len(ids) <= high][:_A_BUCKET]]


def _measure(
    contender: Contender, model: models.Model, chosen: Sequence[NDArray[np.int32]], expected: parity.Vectors
) -> list[dict[str, Any]]:
    own = contender.configuration.batch_sizes == (None,)
    order = np.random.default_rng(0).permutation(len(chosen))  # so that neighbours differ in length
    together, alone = np.empty_like(expected), np.empty_like(expected)
    for start in range(0, len(order), len(order) if own else _BATCH):
        rows = order[start : start + (len(order) if own else _BATCH)]
        contender.worker.load(Batch([chosen[row] for row in rows]))
        together[rows] = contender.worker.vectors(None if own else len(rows))
    for row, ids in enumerate(chosen):
        contender.worker.load(Batch([ids]))
        alone[row] = contender.worker.vectors(None if own else 1)[0]
    lengths = np.array([len(ids) for ids in chosen])
    found = []
    for low, high in BUCKETS:
        rows = np.flatnonzero((lengths >= low) & (lengths <= high))
        if len(rows):
            figures = parity.check(together[rows], expected[rows], contender.configuration)
            company = parity.check(together[rows], alone[rows], contender.configuration)
            found.append(
                {
                    "model": model.name,
                    "contender": contender.configuration.label,
                    "configuration": contender.configuration.detail,
                    "ours": contender.configuration.ours,
                    "tokens": f"{low}..{high}",
                    "texts": len(rows),
                    **figures,
                    "company_cosine_min": company["cosine_min"],
                    "company_same_bits": int((together[rows] == alone[rows]).all(axis=1).sum()),
                }
            )
    return found


def _table(rows: Sequence[dict[str, Any]]) -> str:
    heads = ("", "tokens", "cosine min", "mean", "max abs", "batch to alone, cosine min", "same bits", "")
    return tables.table(heads, [_line(row) for row in rows])


def _line(row: dict[str, Any]) -> tuple[str, ...]:
    return (
        tables.name(row),
        row["tokens"],
        f"{row['cosine_min']:.7f}",
        f"{row['cosine_mean']:.7f}",
        f"{row['max_abs']:.1e}",
        f"{row['company_cosine_min']:.7f}",
        f"{row['company_same_bits']} of {row['texts']}",
        "FAIL" if row["misses"] else "",
    )
