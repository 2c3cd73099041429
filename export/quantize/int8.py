"""The plan of an int8 variant: a quantiser for every site, and the sites that stay in float to keep the promise."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper

from strizh.export.passes.int8_products import inputs_of_products
from strizh.export.quantize.calibration import Ids, Observed, Observer
from strizh.export.quantize.compensation import compensated
from strizh.export.quantize.probe import of_one_length, opened
from strizh.export.quantize.rounding import Codes
from strizh.export.quantize.sensitivity import Cosines, least_kept
from strizh.export.quantize.site import OwnRange, PerRow, Site, Static
from strizh.export.quantize.smoothing import Smoothed, rounded, search
from strizh.export.quantize.trial import trial
from strizh.export.recipes import Int8, Promise
from strizh.export.weights import Array


@dataclasses.dataclass(frozen=True, slots=True)
class Quantized:
    """What `passes.int8_products` needs, and what the manifest tells of it. `kept`: site -> why it stays in float."""

    int8: Int8
    sites: tuple[Site, ...]
    alphas: Mapping[str, float]
    kept: Mapping[str, str]
    cosines: Cosines

    @property
    def smoothing(self) -> dict[str, Array]:
        """By site, for the sites that have one."""
        return {site.name: site.smoothing for site in self.sites if site.smoothing is not None}

    @property
    def details(self) -> dict[str, Any]:
        """For the manifest."""
        static = sum(isinstance(site.activations, Static) for site in self.sites)
        return {
            "int8_sites": {"static": static, "per_row": len(self.sites) - static},
            "kept_in_float": dict(self.kept),
            "smoothing_alpha": dict(self.alphas),
            "weight_max": self.int8.weight_max,
            "calibration_cosine": {"mean": float(self.cosines.mean()), "min": float(self.cosines.min())},
        }


class Calibration:
    """The float32 graph on the calibration texts: what the products see, and the vectors that int8 should keep."""

    def __init__(self, build: Callable[[], onnx.ModelProto], texts: Sequence[Ids], folder: Path) -> None:
        self.build, self.texts, self._folder = build, texts, folder
        model = build()
        self.inputs = inputs_of_products(model)
        norms = {node.output[0] for node in model.graph.node if node.op_type == "LayerNormalization"}
        self._of_norm = norms | {name for name in self.inputs if name == "token_embeddings"}
        observer, vectors = Observer(), dict[int, Array]()
        with opened(model, folder, ("sentence_embedding", *self.inputs)) as run:
            for together in of_one_length(texts):
                values = run([texts[number] for number in together])
                vectors |= zip(together, values.pop("sentence_embedding"), strict=True)
                for row in range(len(together)):
                    observer.see({name: value[row] for name, value in values.items()})
        self.observed: Mapping[str, Observed] = observer.found
        self.vectors = np.stack([vectors[number] for number in range(len(texts))])

    def plan(self, int8: Int8, promise: Promise, step: Callable[[str], None]) -> Quantized:
        """A quantiser for every site; the most sensitive sites stay in float if the promise is missed."""
        model = self.build()
        matrices = {tensor.name: tensor for tensor in model.graph.initializer}
        sites, alphas = [], {}
        for value, names in self.inputs.items():
            weights = [numpy_helper.to_array(matrices[name]) for name in names]
            static = int8.static_rest or (int8.static_norms and value in self._of_norm)
            own = OwnRange() if int8.own_zero else PerRow()
            found = search(self.observed[value], weights, Static if static else own, int8)
            size = sum(weight.size for weight in weights)
            name = names[0].removesuffix(".weight")
            codes = _compensated(self.observed[value].rows, weights, found, int8)
            matching = dict(zip(names, codes, strict=True))
            sites.append(Site(name, names, size, found.activations, found.smoothing, matching))
            alphas[name] = found.alpha
        del model, matrices
        with trial(self.build, sites, self.texts, self.vectors, self._folder) as measure:
            chosen, kept, reached = least_kept(sites, measure, promise, step)
        return Quantized(int8, tuple(chosen), alphas, kept, reached)


def _compensated(rows: Array, weights: Sequence[Array], found: Smoothed, int8: Int8) -> list[tuple[Codes, Array]]:
    """Codes and scales of the matrices [in, out] that multiply one input."""
    smoothing = np.ones(rows.shape[1], np.float32) if found.smoothing is None else found.smoothing
    weight = np.concatenate(list(weights), axis=1) * smoothing[:, None]
    codes, scale = compensated(weight, rounded(rows / smoothing, found.activations), int8.weight_max)
    ends = np.cumsum([weight.shape[1] for weight in weights])[:-1]
    return list(zip(np.split(codes, ends, axis=1), np.split(scale, ends), strict=True))
