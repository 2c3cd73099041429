"""scikit-learn: `StrizhTransformer("bundle")` turns a column of texts into features, in a pipeline or alone."""

from collections.abc import Iterable
from os import PathLike
from typing import Any, Self

from strizh.runtime.encoder import Encoder, load
from strizh.runtime.errors import MissingExtra, UsageError
from strizh.runtime.vectors import Float32

try:
    from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
    from sklearn.utils.validation import check_is_fitted
except ImportError as error:
    raise MissingExtra("scikit-learn", "scikit-learn", "strizh.runtime.adapters.scikit_learn") from error


class StrizhTransformer(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    """Texts to vectors; the arguments are those of `strizh.load` and `Encoder.encode`.

    Nothing is learnt: `fit` opens the bundle. A pickled transformer holds the bundle's path, not its weights.
    """

    def __init__(
        self,
        bundle: str | PathLike[str],
        *,
        variant: str = "auto",
        threads: int | None = None,
        prompt_name: str | None = None,
        prompt: str | None = None,
        truncate_dim: int | None = None,
    ) -> None:
        self.bundle = bundle
        self.variant = variant
        self.threads = threads
        self.prompt_name = prompt_name
        self.prompt = prompt
        self.truncate_dim = truncate_dim

    def fit(self, texts: Iterable[str], labels: Any = None) -> Self:
        """Open the bundle; the texts are not read."""
        self.encoder_: Encoder = load(self.bundle, self.variant, self.threads)
        return self

    def transform(self, texts: Iterable[str]) -> Float32:
        """Vectors of a list, an array or a column of texts: float32 [n, dim]."""
        check_is_fitted(self)
        dimensions = getattr(texts, "ndim", 1)
        if dimensions != 1:
            raise UsageError(f"texts have {dimensions} dimensions, expected one. Give a single column")
        return self.encoder_.encode(
            list(texts), prompt=self.prompt, prompt_name=self.prompt_name, truncate_dim=self.truncate_dim
        )

    @property
    def _n_features_out(self) -> int:
        return self.truncate_dim or self.encoder_.dimension
