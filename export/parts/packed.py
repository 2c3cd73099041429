"""Tokens of a packed batch: where they stand, what they rotate by, and how texts are pooled from them.

There is no `Shape` and no `Range` here: ONNX Runtime computes those on the CPU, and a graph that CUDA captures may not
leave the device. What they would give comes in as inputs: `text_ids` and `position_ids`, int32 [total_tokens].
"""

from functools import cached_property

import numpy as np

from strizh.export.graph import FLOAT, INT32, Graph
from strizh.export.parts.linear import linear
from strizh.export.parts.rotary import cos_and_sin
from strizh.export.spec import EncoderSpec, Pooling, Positions, Rope

_TO_THE_END = np.iinfo(np.int64).max


class Texts:
    """Values that every part of a packed graph asks for, each made once."""

    def __init__(self, g: Graph) -> None:
        self._g = g

    @cached_property
    def starts(self) -> str:
        """First token of each text, int32 [batch]."""
        return self._bounds(0, -1)

    @cached_property
    def ends(self) -> str:
        """One past its last token, int32 [batch]."""
        return self._bounds(1, _TO_THE_END)

    @cached_property
    def lengths(self) -> str:
        """Tokens of each text, int32 [batch]."""
        return str(self._g.node("Sub", self.ends, self.starts))

    @cached_property
    def members(self) -> str:
        """float32 [batch, total_tokens]: 1 where the token is the text's.

        A product with it adds up a text's rows in float32 with standard operators only. It has a column for every token,
        also of other texts: 16 MB for 512 texts of 16 tokens, next to nothing beside an encoder layer.
        """
        g = self._g
        token = g.node("Add", "position_ids", self.of_each_token("cu_seqlens"))
        after = g.node("GreaterOrEqual", token, g.node("Unsqueeze", self.starts, g.constant([1], "int64")))
        before = g.node("Less", token, g.node("Unsqueeze", self.ends, g.constant([1], "int64")))
        return str(g.node("Cast", g.node("And", after, before), to=FLOAT))

    def of_each_token(self, values: str) -> str:
        """[batch ...] to [total_tokens ...]: a text's value at each of its tokens."""
        return str(self._g.node("Gather", values, "text_ids", axis=0))

    def _bounds(self, first: int, last: int) -> str:
        sides = (self._g.constant([value], "int64") for value in (first, last, 0))
        return str(self._g.node("Slice", "cu_seqlens", *sides))


def position_rows(g: Graph, spec: EncoderSpec, texts: Texts) -> str | None:
    """Row of the position table for every token, int32 [total_tokens]; None for a model without one."""
    if spec.positions is Positions.ABSOLUTE:
        return "position_ids"
    if spec.positions is not Positions.ABSOLUTE_BY_ID:
        return None
    pad = g.constant(spec.pad_token_id, "int32")
    real = g.node("Cast", g.node("Not", g.node("Equal", "input_ids", pad)), to=INT32)
    count = g.node("CumSum", real, g.constant(0, "int64"))
    before_text = g.node("Gather", g.node("Sub", count, real), texts.of_each_token("cu_seqlens"), axis=0)
    number = g.node("Sub", count, before_text)
    return str(g.node("Add", g.node("Mul", number, real), pad))


def rotary_rows(g: Graph, rope: Rope, texts: Texts) -> tuple[str, str]:
    """cos and sin, float32 [total_tokens, dim / 2]: a row a token, so that dynamic scaling has each text's own length."""
    with g.scope(f"rotary_{rope.theta:g}"):
        column = g.constant([1], "int64")
        position = g.node("Unsqueeze", g.node("Cast", "position_ids", to=FLOAT), column)

        def lengths() -> str:
            return str(g.node("Unsqueeze", g.node("Cast", texts.of_each_token(texts.lengths), to=FLOAT), column))

        return cos_and_sin(g, rope, position, lengths)


def pool_packed(g: Graph, hidden: str, mode: Pooling, texts: Texts) -> str:
    """[batch, hidden_size] of float32 [total_tokens, hidden_size]. Every text has a token."""
    match mode:
        case Pooling.CLS:
            return str(g.node("Gather", hidden, texts.starts, axis=0))
        case Pooling.FIRST_TOKEN_TRANSFORM:
            return str(g.node("Tanh", linear(g, pool_packed(g, hidden, Pooling.CLS, texts), "pooler")))
        case Pooling.LAST:
            return str(g.node("Gather", hidden, g.node("Sub", texts.ends, g.constant(1, "int32")), axis=0))
        case Pooling.MAX:
            return str(g.node("Pooling", hidden, "cu_seqlens", domain="strizh", pooling=str(mode)))
        case Pooling.WEIGHTED_MEAN:
            number = g.node("Add", g.node("Cast", "position_ids", to=FLOAT), g.constant(1.0))
            weights = g.node("Unsqueeze", number, g.constant([1], "int64"))
            total = g.node("MatMul", texts.members, g.node("Mul", hidden, weights))
            return str(g.node("Div", total, g.node("MatMul", texts.members, weights)))
    total = g.node("MatMul", texts.members, hidden)
    count = g.node("Unsqueeze", g.node("Cast", texts.lengths, to=FLOAT), g.constant([1], "int64"))
    return str(g.node("Div", total, g.node("Sqrt", count) if mode is Pooling.MEAN_SQRT_LEN else count))


def unit(g: Graph, vector: str) -> str:
    """Rows scaled to length 1; zeros stay. `ReduceL2` would need cuDNN, which is optional."""
    square = g.node("ReduceSum", g.node("Mul", vector, vector), g.constant([-1], "int64"), keepdims=1)
    return str(g.node("Div", vector, g.node("Max", g.node("Sqrt", square), g.constant(1e-12))))
