"""A plan tried on the calibration texts: what is left of the float32 vectors with these sites in int8, and with fewer."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from strizh.export.parity import cosines
from strizh.export.passes.int8_products import quantize_products
from strizh.export.quantize.calibration import Ids
from strizh.export.quantize.probe import Run, of_one_length, opened
from strizh.export.quantize.sensitivity import Cosines, Measure
from strizh.export.quantize.site import Site
from strizh.export.weights import Array


@contextmanager
def trial(
    build: Callable[[], onnx.ModelProto], sites: Sequence[Site], every: Sequence[Ids], expected: Array, folder: Path
) -> Iterator[Measure]:
    """Cosines to the `expected` vectors [texts, dim] of `every` text, of the graphs that `build` gives, with some of `sites`
    in int8.
    """
    with ExitStack() as graphs:

        @cache
        def graph(switches: bool) -> Run:
            """With switches every product is there in float too, which takes three times as long: only if it is asked."""
            model = build()
            quantize_products(model, sites, switches=switches)
            return graphs.enter_context(opened(model, folder))

        def measure(on: Sequence[Site], texts: Sequence[int] | None = None) -> Cosines:
            fewer, rows = len(on) < len(sites), range(len(every)) if texts is None else texts
            switches: dict[str, Any] = {site.name: np.array(site in on) for site in sites} if fewer else {}
            judged = [every[row] for row in rows]
            vectors = np.empty((len(judged), expected.shape[1]), np.float32)
            for together in of_one_length(judged):
                batch = [judged[number] for number in together]
                vectors[together] = graph(fewer)(batch, **switches)["sentence_embedding"]
            return cosines(vectors, expected[rows])

        yield measure
