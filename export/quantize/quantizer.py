"""What an export needs to write variants below float32: calibrated once, on first demand."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import onnx

from strizh.export import targets
from strizh.export.known_languages import in_known_languages
from strizh.export.quantize.calibration import Ids, calibration_texts
from strizh.export.quantize.int8 import Calibration, Quantized
from strizh.export.quantize.magnitudes import magnitudes
from strizh.export.recipes import INT8_RECIPES, INT8_TABLE, PORTABLE_FP32, Promise, Recipe
from strizh.export.spec import EncoderSpec
from strizh.export.targets import cpu
from strizh.export.weights import Array
from strizh.runtime.errors import UsageError
from strizh.runtime.manifest import TOKENIZER
from strizh.runtime.tokenization import Tokenizer


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Quantizing:
    """What the user may say of precisions below float32.

    `calibration`: a file of texts (.txt, .jsonl, .csv, .parquet) instead of ours. `recipe`: of `recipes.INT8_RECIPES`, for
    portable-int8. `quality_floor`: mean cosine that every int8 variant must keep, where its own promise is lower. `embeddings`:
    "int8" stores the word embeddings of every variant in int8; portable-int8 always does.
    """

    calibration: Path | None = None
    recipe: str | None = None
    quality_floor: float | None = None
    embeddings: Literal["float", "int8"] = "float"

    def __post_init__(self) -> None:
        if self.recipe is not None and self.recipe not in INT8_RECIPES:
            raise UsageError(f"recipe {self.recipe!r} is not known; known: {', '.join(INT8_RECIPES)}.")
        if self.quality_floor is not None and not 0 < self.quality_floor < 1:
            raise UsageError(f"quality floor is {self.quality_floor}; expected a mean cosine such as 0.999.")
        if self.embeddings not in ("float", "int8"):
            raise UsageError(f"embeddings is {self.embeddings!r}; expected 'float' or 'int8'.")

    def check(self, recipes: Sequence[Recipe]) -> None:
        """`UsageError` for a wish that none of the recipes can follow: it would be lost without a word."""
        portable = any(one.int8 and one.target == "portable" for one in recipes)
        int8 = any(one.int8 for one in recipes)
        half = any((one.target, one.precision) == ("portable", "fp16") for one in recipes)
        for name, value, followed, what in (
            ("recipe", self.recipe, portable, "portable-int8"),
            ("quality-floor", self.quality_floor, int8, "an int8 variant"),
            ("calibration", self.calibration, int8 or half, "an int8 variant or portable-fp16"),
        ):
            if value is not None and not followed:
                asked = ", ".join(one.name for one in recipes)
                raise UsageError(
                    f"--{name} is for {what}; the variants are {asked}. Ask for one with --variants, or leave it out."
                )

    def promise(self, recipe: Recipe) -> Promise:
        """The recipe's promise: raised to the floor, and no more than int8 embeddings can keep."""
        promise = recipe.promise
        if self.embeddings == "int8":
            promise = promise.and_at_most(INT8_TABLE)
        if recipe.int8 and self.quality_floor:
            promise = dataclasses.replace(promise, cosine_mean=max(self.quality_floor, promise.cosine_mean))
        return promise


class Quantizer:
    """Plans and measurements for one model. `folder` holds its tokenizer, and what is written there for a while."""

    def __init__(
        self,
        spec: EncoderSpec,
        weights: Mapping[str, Array],
        folder: Path,
        max_length: int,
        prompts: Sequence[str],
        wishes: Quantizing,
        step: Callable[[str], None],
    ) -> None:
        self.wishes = wishes
        self._spec, self._weights, self._folder, self._step = spec, weights, folder, step
        self._max_length, self._prompts = max_length, ["", *prompts]
        self._plans: dict[str, Quantized] = {}

    @cached_property
    def texts(self) -> list[Ids]:
        """Token ids of the calibration texts, each with one of the model's prompts in turn.

        Of our own texts those are left out whose language the model does not know: it spells them.
        """
        tokenizer = Tokenizer(self._folder / TOKENIZER, self._max_length)
        texts = calibration_texts(self.wishes.calibration)
        if self.wishes.calibration is None:
            special, *lengths = (len(tokenizer.tokenize([text], "").rows.input_ids) for text in ["", *texts])
            texts = [texts[index] for index in in_known_languages(texts, [length - special for length in lengths])]
        prompts = [self._prompts[index % len(self._prompts)] for index in range(len(texts))]
        rows = [tokenizer.tokenize([text], prompt).rows for text, prompt in zip(texts, prompts, strict=True)]
        return [row.input_ids.tolist() for row in rows if len(row.input_ids)]

    @cached_property
    def calibration(self) -> Calibration:
        """What the float32 graph shows on them."""
        self._step("calibrating")

        def build() -> onnx.ModelProto:
            return targets.build(PORTABLE_FP32, self._spec, self._weights, "embedding")

        return Calibration(build, self.texts, self._folder)

    def plan(self, recipe: Recipe) -> Quantized | None:
        """How a recipe's products become int8; None for one that has none."""
        if recipe.int8 is None:
            return None
        if recipe.name not in self._plans:
            chosen = self.wishes.recipe if recipe.target == "portable" else None
            int8 = INT8_RECIPES[chosen] if chosen else recipe.int8
            self._plans[recipe.name] = self.calibration.plan(int8, self.wishes.promise(recipe), self._step)
        return self._plans[recipe.name]

    def int8_table(self, recipe: Recipe) -> bool:
        """Whether a recipe's word embeddings are int8."""
        return self.wishes.embeddings == "int8" or (recipe.target, recipe.precision) == ("portable", "int8")

    def details(self, recipe: Recipe) -> dict[str, Any]:
        """What the manifest tells of a variant below float32: plan, magnitudes, and the promise where it is not the recipe's."""
        found: dict[str, Any] = {}
        if plan := self.plan(recipe):
            found["int8"] = plan.details
            if recipe.target in ("cpu", "tensorrt"):
                share = cpu.int8_share(self._spec, plan.kept)
                found["int8"]["percent_of_matrix_flops_at_128_tokens"] = round(100 * share, 1)
        if (recipe.target, recipe.precision) == ("portable", "fp16"):
            model = targets.build(recipe, self._spec, self._weights, "embedding", int8_table=self.int8_table(recipe))
            found["float16_magnitudes"] = magnitudes(model, self.texts, self._folder)
        if (promise := self.wishes.promise(recipe)) != recipe.promise:
            found["promise"] = dataclasses.asdict(promise)
        return found
