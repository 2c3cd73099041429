"""A plan tried on the calibration texts: what is left of the float32 vectors with these sites in int8, and with fewer."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from strizh.export.parity import cosines
from strizh.export.passes.int8_products import quantize_products
from strizh.export.quantize.calibration import Ids
from strizh.export.quantize.probe import Run, of_like_length, opened
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
    with ExitStack() as files:
        opened_graph: list[tuple[Run, bool]] = []  # one at a time: with its switches it is three times the weights

        def graph(switches: bool) -> tuple[Run, bool]:
            """Which has switches if it must. With them every product is there in float too, which takes three times as long:
            only once it is asked, and from then on.
            """
            if not opened_graph or switches > opened_graph[0][1]:
                opened_graph.clear()
                files.close()
                model = build()
                quantize_products(model, sites, switches=switches)
                opened_graph.append((files.enter_context(opened(model, folder)), switches))
            return opened_graph[0]

        def measure(on: Sequence[Site], texts: Sequence[int] | None = None) -> Cosines:
            rows = range(len(every)) if texts is None else texts
            run, switched = graph(len(on) < len(sites))
            switches: dict[str, Any] = {site.name: np.array(site in on) for site in sites} if switched else {}
            judged = [every[row] for row in rows]
            vectors = np.empty((len(judged), expected.shape[1]), np.float32)
            for together in of_like_length(judged):
                batch = [judged[number] for number in together]
                vectors[together] = run(batch, **switches)["sentence_embedding"]
            return cosines(vectors, expected[rows])

        yield measure
