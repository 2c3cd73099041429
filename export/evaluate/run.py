"""Variants through the tasks, beside a baseline."""

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import strizh
from strizh.export.baseline import PYTORCH, of_checkpoint
from strizh.export.evaluate.task import Array, Measure, Role, Task, Text, interval
from strizh.export.recipes import RECIPES
from strizh.kernels.reference import normalize
from strizh.runtime.errors import DeviceError, TruncationWarning
from strizh.runtime.manifest import Manifest

# Names under which the published models keep the prompt of each part; without one, the bundle's default prompt.
_PROMPT_NAMES: Mapping[Role, tuple[str, ...]] = {
    "query": ("query", "search_query"),
    "passage": ("passage", "document", "search_document"),
    "symmetric": ("paraphrase", "sts", "query", "classification"),
}
Prompts = Mapping[Role, str]
Embed = Callable[[Sequence[Text]], Array]


@dataclass(frozen=True, slots=True)
class Figure:
    """A task's figure for one variant, and its distance from the baseline's with a 95 % interval."""

    value: float
    delta: float | None = None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class Result:
    """One variant on all tasks; cosines are those of its vectors with the baseline's, text by text."""

    tasks: dict[str, dict[str, Figure]]
    texts: int
    baseline: str | None = None
    cosine_mean: float | None = None
    cosine_min: float | None = None


def prompts_for(manifest: Manifest, query: str | None = None, passage: str | None = None) -> Prompts:
    """The prompt of each part: what the caller says, else the bundle's by name, else its default, else none."""
    default = manifest.prompts[manifest.default_prompt_name] if manifest.default_prompt_name else ""
    own = {
        role: next((manifest.prompts[name] for name in names if name in manifest.prompts), default)
        for role, names in _PROMPT_NAMES.items()
    }
    said: dict[Role, str | None] = {"query": query, "passage": passage, "symmetric": query}
    return own | {role: prompt for role, prompt in said.items() if prompt is not None}


def evaluate(
    bundle: Path,
    manifest: Manifest,
    tasks: Sequence[Task],
    variants: Sequence[str],
    prompts: Prompts,
    checkpoint: str | None = None,
    step: Callable[[str], None] = lambda what: None,
    skip: bool = False,
) -> dict[str, Result]:
    """Every variant on every task. The baseline is `checkpoint` in PyTorch, else the bundle's float32 variant.

    `skip`: leave out a variant that refuses a text, as engines do beyond their shapes, and say so to `step`.
    """
    float32 = [name for name in RECIPES if name in manifest.variants and manifest.variants[name].precision == "fp32"]
    against = PYTORCH if checkpoint else next(iter(float32), None)
    baseline = None
    if against is not None:
        step(f"{against} ...")
        make = (
            _of_checkpoint(bundle, manifest, checkpoint, prompts)
            if checkpoint
            else _of_variant(bundle, against, prompts)
        )
        with make as embed:
            baseline = [embed(task.texts) for task in tasks]
    results = {}
    for name in variants:
        if name == against:
            assert baseline is not None
            vectors = baseline
        else:
            step(f"{name} ...")
            try:
                with _of_variant(bundle, name, prompts) as embed:
                    vectors = [embed(task.texts) for task in tasks]
            except DeviceError as error:
                if not skip:
                    raise
                step(f"{name}: not measured: {error}")
                continue
        results[name] = _result(tasks, vectors, baseline, against)
    return results


@contextmanager
def _of_variant(bundle: Path, variant: str, prompts: Prompts) -> Iterator[Embed]:
    with strizh.load(bundle, variant=variant) as encoder, warnings.catch_warnings():
        warnings.simplefilter("ignore", TruncationWarning)

        def vectors(texts: list[str], role: Role) -> Array:
            return encoder.encode(texts, prompt=prompts[role], show_progress_bar=False)

        yield lambda texts: _each_once(texts, vectors)


@contextmanager
def _of_checkpoint(bundle: Path, manifest: Manifest, checkpoint: str, prompts: Prompts) -> Iterator[Embed]:
    """Token ids of the bundle's tokenizer through the checkpoint's own model."""
    baseline = of_checkpoint(checkpoint, bundle, manifest).vectors
    with strizh.load(bundle) as encoder, warnings.catch_warnings():
        warnings.simplefilter("ignore", TruncationWarning)

        def vectors(texts: list[str], role: Role) -> Array:
            rows = encoder.tokenize(texts, prompt=prompts[role])
            return baseline([row.tolist() for row in np.split(rows.input_ids, rows.cu_seqlens[1:-1])])

        yield lambda texts: _each_once(texts, vectors)


def _each_once(texts: Sequence[Text], vectors: Callable[[list[str], Role], Array]) -> Array:
    """Unit vectors of the texts; one that comes again is not computed again."""
    found: dict[Text, Array] = {}
    for role in sorted({text.role for text in texts}):
        own = list(dict.fromkeys(text for text in texts if text.role == role))
        unit = normalize(vectors([text.text for text in own], role)).astype(np.float32)
        found |= dict(zip(own, unit, strict=True))
    return np.stack([found[text] for text in texts])


def _result(
    tasks: Sequence[Task], vectors: Sequence[Array], baseline: Sequence[Array] | None, against: str | None
) -> Result:
    figures = {}
    for index, task in enumerate(tasks):
        ours = task.measure(vectors[index])
        theirs = task.measure(baseline[index]) if baseline is not None else {}
        figures[task.name] = {name: _figure(measure, theirs.get(name)) for name, measure in ours.items()}
    count = sum(len(task.texts) for task in tasks)
    if baseline is None:
        return Result(figures, count)
    cosine = np.concatenate([_cosine(*pair) for pair in zip(vectors, baseline, strict=True)])
    return Result(figures, count, against, float(cosine.mean()), float(cosine.min()))


def _cosine(ours: Array, theirs: Array) -> Array:
    """1 - |a - b|^2 / 2 of unit vectors, which keeps the digits near 1."""
    distance: Any = ((ours.astype(np.float64) - theirs) ** 2).sum(-1)
    return np.asarray(1 - distance / 2)


def _figure(ours: Measure, theirs: Measure | None) -> Figure:
    if theirs is None:
        return Figure(ours.value)
    return Figure(ours.value, ours.value - theirs.value, *interval(ours, theirs))
