"""The whole check of a bundle: every length bucket in every kind of company, against a baseline, and the prompts."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tokenizers import Tokenizer

import strizh
from strizh.export.baseline import Vectors
from strizh.export.known_languages import in_known_languages
from strizh.export.parity import Figures, compare, parity_texts
from strizh.runtime.batching import PackedBatch
from strizh.runtime.errors import DeviceError, ParityError
from strizh.runtime.manifest import TOKENIZER, Manifest

# On and around the sizes where tiles, vectors and windows end.
_LENGTHS = (1, 2, 3, 7, 8, 15, 16, 17, 31, 32, 33, 63, 64, 65, 127, 128, 129, 255, 256, 257, 511, 512, 513)
_NEIGHBOURS = 3


@dataclasses.dataclass(frozen=True, slots=True)
class Cell:
    """One length in one company: cosine and largest difference of unit vectors to the baseline's text alone."""

    length: int
    company: str
    cosine: float
    max_abs: float
    moved: float  # largest difference to the same variant's vector of the text alone


def lengths(manifest: Manifest) -> list[int]:
    """The lengths to check: around block sizes, around the trained positions, doublings, and the limit itself."""
    trained = int(manifest.spec["max_positions"])
    doubled = [1024 << power for power in range(8)]
    wanted = {*_LENGTHS, *doubled, trained - 1, trained, trained + 1, 2 * trained, manifest.max_length}
    return sorted(length for length in wanted if 1 <= length <= manifest.max_length)


def texts_of(bundle: Path, wanted: Sequence[int]) -> list[list[int]]:
    """Token ids of exactly these lengths, from our own sentences; the special tokens stay at both ends where they fit."""
    tokenizer = Tokenizer.from_file(str(bundle / TOKENIZER))
    ids = [tokenizer.encode(text).ids for text in _known_by(tokenizer)]
    first, last = ids[0][:1], ids[0][-1:]
    stream = [token for text in ids for token in text[1:-1]]
    found = []
    for index, length in enumerate(wanted):
        inner = np.resize(np.roll(stream, -31 * index), max(length - 2, 0)).tolist()
        found.append((first + inner + last)[:length])
    return found


def sentences_of(bundle: Path, longest: int) -> list[list[int]]:
    """Token ids of our own 64 sentences, cut to `longest`; of languages without words in this tokenizer, none."""
    tokenizer = Tokenizer.from_file(str(bundle / TOKENIZER))
    sentences = _known_by(tokenizer)
    tokenizer.enable_truncation(longest)
    return [tokenizer.encode(text).ids for text in sentences]


def known_sentences(bundle: Path) -> list[str]:
    """Our own 64 sentences, but for those in languages without words in this tokenizer."""
    return _known_by(Tokenizer.from_file(str(bundle / TOKENIZER)))


def _known_by(tokenizer: Tokenizer) -> list[str]:
    """Our own sentences in the model's languages, as the export's own check has them; padding and cutting are off then."""
    tokenizer.no_padding()
    tokenizer.no_truncation()
    texts, special = parity_texts(), len(tokenizer.encode("").ids)
    known = in_known_languages(texts, [len(tokenizer.encode(text).ids) - special for text in texts])
    return [texts[index] for index in known]


def grid(
    bundle: Path, variant: str, texts: list[list[int]], baseline: Vectors | None
) -> tuple[list[Cell], dict[int, str]]:
    """Every text alone, among three short texts, and among texts of every length up to 513 tokens.

    `baseline` has a row for each text; without it the variant's own vector of the text alone takes its place. Lengths
    that the variant does not run here, as engines that were built for shorter texts do not, are in no cell; they come
    second, each with the reason. `DeviceError` if it runs none.
    """
    cells, refused = [], {}
    with strizh.load(bundle, variant=variant) as encoder:

        def run(batch: list[list[int]]) -> Vectors:
            return encoder.encode_tokens(PackedBatch.pack(batch))

        alone: dict[int, Vectors] = {}
        for index, text in enumerate(texts):
            try:
                alone[index] = run([text])
            except DeviceError as error:
                refused[len(text)] = str(error)
        if not alone:
            raise DeviceError(f"variant {variant} runs no text here: {next(iter(refused.values()), 'there is none')}")
        company = [index for index in alone if len(texts[index]) <= _LENGTHS[-1]]
        mixed = dict(zip(company, run([texts[index] for index in company])[:, None], strict=True))
        for index, vector in alone.items():
            short = run([texts[index], *(texts[other] for other in company[:_NEIGHBOURS])])[:1]
            found = {"alone": vector, "short": short} | ({"mixed": mixed[index]} if index in mixed else {})
            expected = vector if baseline is None else baseline[index : index + 1]
            cells += [_cell(len(texts[index]), name, one, expected, vector) for name, one in found.items()]
    return cells, refused


def _cell(length: int, company: str, found: Vectors, expected: Vectors, alone: Vectors) -> Cell:
    figures = compare(found, expected, "")
    moved = float(np.abs(found - alone).max() / max(np.linalg.norm(alone), 1e-12))
    return Cell(length, company, figures.cosine_min, figures.max_abs, moved)


def summary(
    cells: Sequence[Cell], against: str, neighbours: float | None, refused: Mapping[int, str]
) -> dict[str, Any]:
    """What goes into the manifest: the figures over the grid, the worst cell of each length, the batch effect.

    Lengths that are refused are named with their reasons where there are any.
    """
    cosines = np.array([cell.cosine for cell in cells])
    figures = Figures(
        against=against,
        texts=len(cells),
        cosine_min=float(cosines.min()),
        cosine_p1=float(np.percentile(cosines, 1)),
        cosine_mean=float(cosines.mean()),
        max_abs=max(cell.max_abs for cell in cells),
        rank_agreement=neighbours,
    )
    buckets = {
        str(length): min(cell.cosine for cell in cells if cell.length == length)
        for length in sorted({cell.length for cell in cells})
    }
    return {
        **dataclasses.asdict(figures),
        "batch_effect": max(cell.moved for cell in cells),
        "cosine_by_length": buckets,
        **({"refused": {str(length): reason for length, reason in refused.items()}} if refused else {}),
    }


def rank_agreement(bundle: Path, variant: str, texts: list[list[int]], baseline: Vectors) -> float | None:
    """Share of each text's nearest neighbours that the baseline's vectors of the same texts have as well."""
    with strizh.load(bundle, variant=variant) as encoder:
        return compare(encoder.encode_tokens(PackedBatch.pack(texts)), baseline, "").rank_agreement


def check_prompts(bundle: Path, variant: str, manifest: Manifest, longest: int) -> list[str]:
    """Every prompt named to the encoder must give the vectors of the text with the prompt before it, tokenized apart.

    Returns the names of the prompts with which a text has at most `longest` tokens, which are those that are checked;
    raises `ParityError` for one that differs.
    """
    tokenizer = Tokenizer.from_file(str(bundle / TOKENIZER))
    tokenizer.no_padding()
    tokenizer.enable_truncation(manifest.max_length)
    checked = []
    with strizh.load(bundle, variant=variant) as encoder:
        for name, prompt in manifest.prompts.items():
            texts = {text: tokenizer.encode(prompt + text).ids for text in parity_texts()[:4]}
            texts = {text: ids for text, ids in texts.items() if len(ids) <= longest}
            if "{task}" in prompt or not texts:  # a template is no prompt before it is filled
                continue
            checked.append(name)
            found = encoder.encode(list(texts), prompt_name=name)
            figures = compare(found, encoder.encode_tokens(PackedBatch.pack(texts.values())), "")
            if figures.cosine_min < 0.99999:  # the same ids in the same variant: another token is far outside this
                raise ParityError(
                    f"prompt {name!r} of variant {variant} gives other vectors than the text {prompt!r} put before it "
                    f"(cosine {figures.cosine_min:.4f}). Export the bundle again."
                )
    return checked
