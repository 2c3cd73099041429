"""Vectors beside PyTorch's in float32, by length and by company: how close, and whether a text's neighbours change it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks import engines, models, parity, tables, texts
from benchmarks.contenders import Contender, missing, open_all
from benchmarks.engines import Batch, Configuration
from benchmarks.suites import Settings, blank
from benchmarks.workers import EngineError
from benchmarks.workloads import Case, passage_lengths

HELP = "cosine to PyTorch float32 by length, and what a text's neighbours change; engines of texts too with --texts DIR"
MODELS = ("e5-small",)
HEEDS = ("engines", "texts", "column")
NOTES = ("batch: mixed lengths together; alone: the same texts one by one",)
BUCKETS = ((1, 16), (17, 128), (129, 512), (513, 8192))  # tokens
_TEXTS = 400
_A_BUCKET = 24
_BATCH = 8  # texts a batch for engines that pad: neighbours of other lengths, as in real use


def run(settings: Settings) -> dict[str, Any]:
    """Nothing is timed."""
    result = blank(settings)
    configurations = engines.find(settings.engines) if settings.texts else engines.of_ids(settings.engines)
    for model in models.find_all(settings.models):
        reference, chosen = parity.Reference(model, settings.threads), _texts(model, settings)
        settings.say(f"{model.name}: {len(chosen.ids)} texts, vectors to compare with")
        reference.load(Batch(chosen.ids))
        expected = reference.vectors()
        reference.close()
        result["models"][model.name] = model.facts() | {"reference": reference.name}
        unfit = {one.name: why for one in configurations if (why := _unfit(one, chosen))}
        result["absent"] += [missing(model, name, why) for name, why in unfit.items()]
        fit = [one for one in configurations if one.name not in unfit]
        rows = []
        for contender in open_all(model, fit, settings.threads, result, settings.say):
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


@dataclass(frozen=True, slots=True)
class _Texts:
    """What is compared: token ids, and the strings that they come from, unless the ids were drawn."""

    ids: list[NDArray[np.int32]]
    strings: list[str]

    def part(self, rows: Iterable[int], *, ids: bool) -> Batch:
        """Some of them, as an engine of ids takes them or one of strings."""
        return Batch([self.ids[row] for row in rows]) if ids else Batch([], [self.strings[row] for row in rows])


def _texts(model: models.Model, settings: Settings) -> _Texts:
    """Real texts where they are given and the weights are real; drawn ids of such lengths otherwise."""
    if settings.texts and model.real:
        prompt = texts.prompts(model)[1]
        strings = [prompt + text for text in texts.passages(settings.texts, settings.column)]
        found = texts.tokenize(model, strings)
    else:
        lengths = tuple(min(length, model.longest) for length in (*passage_lengths(_TEXTS), 1, 2, 15, 16, 17, 31, 33))
        strings, found = [], Case("parity", lengths, "tokens/s").token_ids(model.vocab_size)
    buckets = ([at for at, ids in enumerate(found) if low <= len(ids) <= high] for low, high in BUCKETS)
    rows = [row for bucket in buckets for row in bucket[:_A_BUCKET]]
    return _Texts([found[row] for row in rows], [strings[row] for row in rows] if strings else [])


def _unfit(configuration: Configuration, chosen: _Texts) -> str | None:
    """Why an engine cannot be compared here."""
    if not configuration.same_model:
        return "its vectors are its own, not the model's: the suite quality says what they are worth"
    if "ids" not in configuration.takes and not chosen.strings:
        return "it takes texts only, and this model is measured on token ids: weights with a tokenizer, and --texts DIR"
    return None


def _measure(
    contender: Contender, model: models.Model, chosen: _Texts, expected: parity.Vectors
) -> list[dict[str, Any]]:
    own, ids = contender.configuration.batch_sizes == (None,), contender.worker.takes_ids
    order = np.random.default_rng(0).permutation(len(chosen.ids))  # so that neighbours differ in length
    together, alone = np.empty_like(expected), np.empty_like(expected)
    for start in range(0, len(order), len(order) if own else _BATCH):
        rows = order[start : start + (len(order) if own else _BATCH)]
        contender.worker.load(chosen.part(rows, ids=ids))
        together[rows] = contender.worker.vectors(None if own else len(rows))
    for row in range(len(chosen.ids)):
        contender.worker.load(chosen.part([row], ids=ids))
        alone[row] = contender.worker.vectors(None if own else 1)[0]
    lengths = np.array([len(one) for one in chosen.ids])
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
        _cosine(row, "cosine_min"),
        _cosine(row, "cosine_mean"),
        "-" if "max_abs" not in row else f"{row['max_abs']:.1e}",
        _cosine(row, "company_cosine_min"),
        f"{row['company_same_bits']} of {row['texts']}",
        "FAIL" if row["misses"] else "",
    )


def _cosine(row: dict[str, Any], name: str) -> str:
    """A dash where an engine gave numbers that are not finite."""
    figure = row.get(name)
    return "-" if figure is None else f"{figure:.7f}"
