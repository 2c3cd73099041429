"""How close a variant's vectors are to the model's: the figures, and the quick check that every export runs."""

import dataclasses
import itertools
import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import strizh
from strizh.export.emulation.run import emulated
from strizh.export.known_languages import in_known_languages
from strizh.export.recipes import RECIPES, Promise, promise_of
from strizh.export.reference import Definition, Outputs
from strizh.export.token_parity import TokenHeads
from strizh.kernels.reference import normalize
from strizh.runtime import choose, host
from strizh.runtime.batching import PackedBatch
from strizh.runtime.errors import ParityError, TruncationWarning
from strizh.runtime.manifest import Variant
from strizh.runtime.tokenization import Text

_NEIGHBOURS = 10
_REFERENCE_TEXTS = 8


@dataclasses.dataclass(frozen=True, slots=True)
class Figures:
    """Vectors against a baseline, both scaled to length 1 first."""

    against: str
    texts: int
    cosine_min: float
    cosine_p1: float
    cosine_mean: float
    max_abs: float
    rank_agreement: float | None  # share of each text's nearest neighbours that stay; None for too few texts
    left_out: int = 0  # of our texts, those in a language that the tokenizer has no words for
    logits_error: float | None = None  # largest difference of a classifier's logits, as a share of the largest logit
    sparse_error: float | None = None  # the same of term weights
    colbert_cosine_min: float | None = None  # of a text's vectors of late interaction, all laid end to end

    def misses(self, promise: Promise) -> list[str]:
        """What the promise asks and these figures do not give."""
        found = []
        if not self.cosine_min >= promise.cosine_min:
            found.append(f"cosine {self.cosine_min:.7f} at worst, promised {promise.cosine_min}")
        if not self.cosine_mean >= promise.cosine_mean:
            found.append(f"cosine {self.cosine_mean:.7f} on average, promised {promise.cosine_mean}")
        if promise.max_abs is not None and not self.max_abs <= promise.max_abs:
            found.append(f"largest difference {self.max_abs:.2e}, promised {promise.max_abs:.0e}")
        # A linear head turns a vector that is off by an angle into logits that are off by about that angle.
        angle = math.sqrt(2 * (1 - promise.cosine_min))
        for what, error in (("logits", self.logits_error), ("term weights", self.sparse_error)):
            if error is not None and not error <= 2 * angle:
                found.append(f"{what} off by {error:.1e} of the largest, promised {2 * angle:.1e}")
        late = 1 - 4 * (1 - promise.cosine_min)  # twice the angle, as a single token has no average of others
        if self.colbert_cosine_min is not None and not self.colbert_cosine_min >= late:
            found.append(f"ColBERT vectors' cosine {self.colbert_cosine_min:.7f} at worst, promised {late:.7f}")
        return found


def cosines(vectors: NDArray[Any], baseline: NDArray[Any]) -> NDArray[np.float64]:
    """Cosine of each row of [n, dim] with the baseline's."""
    # 1 - |a - b|^2 / 2 keeps the digits near 1 that a dot product rounds away.
    return np.asarray(1 - ((normalize(vectors) - normalize(baseline)) ** 2).sum(-1) / 2)


def compare(vectors: NDArray[Any], baseline: NDArray[Any], against: str) -> Figures:
    """Figures of float vectors [n, dim] against a baseline of the same shape."""
    ours, theirs = normalize(vectors), normalize(baseline)
    cosine = cosines(vectors, baseline)
    return Figures(
        against=against,
        texts=len(ours),
        cosine_min=float(cosine.min()),
        cosine_p1=float(np.percentile(cosine, 1)),
        cosine_mean=float(cosine.mean()),
        max_abs=float(np.abs(ours - theirs).max()),
        rank_agreement=_rank_agreement(ours, theirs) if len(ours) > 2 * _NEIGHBOURS else None,
    )


def _rank_agreement(ours: NDArray[np.float64], theirs: NDArray[np.float64]) -> float:
    def nearest(unit: NDArray[np.float64]) -> NDArray[np.int64]:
        scores = unit @ unit.T
        np.fill_diagonal(scores, -2)
        return np.argsort(-scores, axis=1)[:, :_NEIGHBOURS]

    pairs = zip(nearest(ours), nearest(theirs), strict=True)
    return float(np.mean([len(set(a) & set(b)) / _NEIGHBOURS for a, b in pairs]))


def parity_texts() -> list[str]:
    """Our own 64 Russian and English sentences."""
    text = resources.files("strizh.export").joinpath("data/parity_texts.txt").read_text(encoding="utf-8")
    return text.splitlines()


def quick_parity(bundle: Path, definition: Definition, names: Sequence[str], float32: str) -> dict[str, Any]:
    """The float32 graph against the spec in NumPy on 8 short texts, every other variant against that graph on 64, or on
    those of them whose language the tokenizer has words for.

    A cut vocabulary is compared with the whole one, by the ids that its tokens had there. `bundle` must hold the portable
    graph `float32` and the variants `names`. Returns variant -> figures.
    """
    spec = definition.spec
    outputs: list[Outputs] = []

    def run_spec(texts: Sequence[Sequence[int]]) -> NDArray[np.float64]:
        # Together, so that the weights are read once; with ntk_length="batch" each is a batch of its own.
        batches = [texts] if spec.ntk_length == "text" else [[text] for text in texts]
        outputs.extend(map(definition.run, batches))
        return np.concatenate([part.sentence_embedding for part in outputs])

    short = sorted(parity_texts(), key=len)[:_REFERENCE_TEXTS]
    found = {float32: parity_with(bundle, float32, definition.name, run_spec, short)}
    rows, left_out = _known(tokenized(bundle, float32, ["", *parity_texts()]))
    with strizh.load(bundle, variant=float32) as encoder:
        baseline = encoder.encode_tokens(rows)
    for name in names:
        if name != float32:
            vectors, note = _vectors(bundle, name, rows)
            found[name] = dataclasses.asdict(compare(vectors, baseline, float32 + note)) | {"left_out": left_out}
    if spec.sparse is not None or spec.multi_vector:
        rows = tokenized(bundle, float32, short)
        heads = TokenHeads.of_reference(rows, outputs)
        for name, figures in found.items():
            figures |= _token_heads(bundle, name, short, rows, heads).against(heads)
    if spec.classifier:
        both: list[Text] = [*short, *zip(short, reversed(short), strict=True)]  # it may take pairs too
        rows = tokenized(bundle, float32, both)
        ids, types = _lists(rows), _lists(PackedBatch(rows.types_or_zeros(), rows.cu_seqlens))
        batches = [(ids, types)] if spec.ntk_length == "text" else [([a], [b]) for a, b in zip(ids, types, strict=True)]
        logits = np.concatenate([definition.run(*batch).logits for batch in batches])
        for name, figures in found.items():
            figures["logits_error"] = _logits_error(bundle, name, both, rows, logits)
    return found


def _known(rows: PackedBatch) -> tuple[PackedBatch, int]:
    """Of an empty text and the parity texts those that the tokenizer does not spell, and how many it does."""
    empty, *ids = _lists(rows)
    known = in_known_languages(parity_texts(), [len(text) - len(empty) for text in ids])
    return PackedBatch.pack([ids[index] for index in known]), len(ids) - len(known)


def _vectors(bundle: Path, variant: str, rows: PackedBatch) -> tuple[NDArray[Any], str]:
    """A variant's vectors, and what is to be said of how they came about."""
    if _emulated(variant):
        note = "; its graph was run in NumPy, as nothing here runs it"
        return emulated(bundle / RECIPES[variant].file, "sentence_embedding", rows), note
    with strizh.load(bundle, variant=variant) as encoder:
        return encoder.encode_tokens(rows), ""


def _emulated(variant: str) -> bool:
    """Whether a variant's operators are written out in NumPy and this machine has them nowhere else."""
    target = RECIPES[variant].target if variant in RECIPES else ""  # the float32 graph of the check is no recipe
    return target == "tensorrt" or (target == "cuda" and bool(choose.obstacle(target, host.probe())))


def _token_heads(
    bundle: Path, variant: str, texts: Sequence[str], rows: PackedBatch, expected: TokenHeads
) -> TokenHeads:
    if _emulated(variant):
        return TokenHeads.of_emulation(bundle / RECIPES[variant].file, rows, expected)
    return TokenHeads.of_variant(bundle, variant, texts)


def _logits_error(
    bundle: Path, variant: str, texts: Sequence[Text], rows: PackedBatch, expected: NDArray[np.float64]
) -> float:
    if _emulated(variant):
        found: NDArray[Any] = emulated(bundle / RECIPES[variant].classifier, "logits", rows)
    else:
        with strizh.load(bundle, variant=variant) as encoder, warnings.catch_warnings():
            warnings.simplefilter("ignore", TruncationWarning)
            # One by one: with ntk_length="batch" a text's logits depend on the batch it is in.
            found = np.concatenate([encoder.classify([text], activation="identity", prompt="") for text in texts])
    return float(np.abs(found - expected).max() / np.abs(expected).max())


def _lists(rows: PackedBatch) -> list[list[int]]:
    return [rows.input_ids[start:end].tolist() for start, end in itertools.pairwise(rows.cu_seqlens)]


def parity_with(
    bundle: Path,
    variant: str,
    against: str,
    baseline: Callable[[Sequence[Sequence[int]]], NDArray[Any]],
    texts: Sequence[str],
) -> dict[str, Any]:
    """Figures of a variant against a baseline that takes token ids, each text alone."""
    ids = _lists(tokenized(bundle, variant, texts))
    with strizh.load(bundle, variant=variant) as encoder:
        # One by one: with ntk_length="batch" a text's vector depends on the batch it is in.
        vectors = np.concatenate([encoder.encode_tokens(PackedBatch.pack([text])) for text in ids])
    return dataclasses.asdict(compare(vectors, baseline(ids), against))


def tokenized(bundle: Path, variant: str, texts: Sequence[Text]) -> PackedBatch:
    """The texts without a prompt, cut to the bundle's limit without a warning: it may be shorter than they are."""
    with strizh.load(bundle, variant=variant) as encoder, warnings.catch_warnings():
        warnings.simplefilter("ignore", TruncationWarning)
        return encoder.tokenize(texts, prompt="")


def check_promises(parity: Mapping[str, Mapping[str, Any]], variants: Mapping[str, Variant]) -> None:
    """Raise `ParityError` that lists every variant whose figures miss its promise."""
    missed = [
        f"{name}: {'; '.join(misses)}"
        for name, figures in parity.items()
        if (misses := Figures(**figures).misses(promise_of(name, variants[name].details)))
    ]
    if missed:
        raise ParityError(
            f"the vectors are further from the model's than promised: {' | '.join(missed)}. "
            "Export without that variant, or keep it with --force."
        )
