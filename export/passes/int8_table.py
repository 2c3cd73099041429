"""The embedding table in int8, each row with a scale of its own: a quarter of what is most of a multilingual model."""

import numpy as np
import onnx

from strizh.export.passes.rewriter import Rewriter
from strizh.export.quantize.rounding import rows

_TABLE = "embeddings.word"


def quantize_table(model: onnx.ModelProto, *, whole: bool = False) -> None:
    """Replace the lookup in the word embeddings in place, in the table's own precision. Positions are few and stay.

    `whole`: the table is made float before its rows are looked up, as TensorRT wants it, which takes integers nowhere else.
    """
    rewriter = Rewriter(model)
    for node in rewriter.old:
        if node.op_type != "Gather" or node.input[0] != _TABLE:
            rewriter.keep(node)
            continue
        table, ids, name = rewriter.array(_TABLE), node.input[1], node.output[0]
        codes, scale = rows(table.astype(np.float32))
        stored, scale = rewriter.store(f"{_TABLE}.codes", codes), scale.astype(table.dtype)
        if whole:
            sides = [stored, rewriter.store(f"{_TABLE}.scale", scale)]
            rewriter.add(
                "Gather", [rewriter.add("DequantizeLinear", sides, f"{name}/table", axis=0), ids], name, axis=0
            )
            continue
        kind, scales = (
            onnx.helper.np_dtype_to_tensor_dtype(table.dtype),
            rewriter.store(f"{_TABLE}.scale", scale[:, None]),
        )
        picked = rewriter.add("Gather", [stored, ids], f"{name}/codes", axis=0)
        factor = rewriter.add("Gather", [scales, ids], f"{name}/scale", axis=0)
        rewriter.add("Mul", [rewriter.add("Cast", [picked], f"{name}/float", to=kind), factor], name)
    rewriter.finish()
