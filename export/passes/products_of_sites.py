"""The products of a model that are to be computed in integers, one after another."""

from collections.abc import Iterator, Sequence

import onnx

from strizh.export.passes.rewriter import Rewriter
from strizh.export.quantize.site import Site


def products_of_sites(rewriter: Rewriter, sites: Sequence[Site]) -> Iterator[tuple[onnx.NodeProto, Site]]:
    """Every `MatMul` with a weight of one of `sites`, and the site, for the caller to replace; other nodes are kept."""
    by_weight = {weight: site for site in sites for weight in site.weights}
    for node in rewriter.old:
        site = by_weight.get(node.input[1]) if node.op_type == "MatMul" else None
        if site is None:
            rewriter.keep(node)
        else:
            yield node, site
