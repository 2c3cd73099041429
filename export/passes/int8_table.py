"""The embedding table in int8, each row with a scale of its own: a quarter of what is most of a multilingual model."""

import onnx

from strizh.export.passes.rewriter import Rewriter
from strizh.export.quantize.rounding import rows

_TABLE = "embeddings.word"


def quantize_table(model: onnx.ModelProto) -> None:
    """Replace the lookup in the word embeddings in place. Positions are few and stay as they are."""
    rewriter = Rewriter(model)
    for node in rewriter.old:
        if node.op_type != "Gather" or node.input[0] != _TABLE:
            rewriter.keep(node)
            continue
        codes, scale = rows(rewriter.array(_TABLE))
        ids, name = node.input[1], node.output[0]
        picked = rewriter.add("Gather", [rewriter.store(f"{_TABLE}.codes", codes), ids], f"{name}/codes", axis=0)
        scales = rewriter.add(
            "Gather", [rewriter.store(f"{_TABLE}.scale", scale[:, None]), ids], f"{name}/scale", axis=0
        )
        rewriter.add("Mul", [rewriter.add("Cast", [picked], f"{name}/float", to=onnx.TensorProto.FLOAT), scales], name)
    rewriter.finish()
