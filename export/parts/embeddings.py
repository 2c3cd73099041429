"""Token and position embeddings of a padded batch."""

from strizh.export.graph import INT64, Graph
from strizh.export.parts.linear import norm
from strizh.export.spec import EncoderSpec, Positions


def sequence_length(g: Graph) -> str:
    """Padded length of the batch, int64 [1]."""
    return str(g.node("Slice", g.node("Shape", "input_ids"), *(g.constant([value], "int64") for value in (1, 2, 0))))


def counted(g: Graph, length: str) -> str:
    """0, 1 ... length - 1, int64 [sequence]."""
    scalar = g.node("Squeeze", length, g.constant([0], "int64"))
    return str(g.node("Range", g.constant(0, "int64"), scalar, g.constant(1, "int64")))


def embeddings(g: Graph, spec: EncoderSpec, token_types: bool = False) -> str:
    """[batch, sequence, hidden_size], normalised where the spec says so; `token_types`: of the graph's input too."""
    with g.scope("embeddings"):
        x = _rows(g, "embeddings.word", "input_ids")
        places = _position_rows(g, spec)
        if places:
            x = g.node("Add", x, _rows(g, "embeddings.position", places))
        if token_types:
            x = g.node("Add", x, _rows(g, "embeddings.token_type", "token_type_ids"))
        return norm(g, spec, x, "embeddings.norm") if spec.embedding_norm else str(x)


def _rows(g: Graph, slot: str, rows: str) -> str:
    """Rows of a table, float32."""
    return g.exact(str(g.node("Gather", g.weight(slot), rows, axis=0)))


def add_token_types(g: Graph, x: str) -> str:
    """What each token's type adds to that of the first row, which is folded into another table already."""
    return str(g.node("Add", x, g.node("Gather", g.weight("embeddings.token_type"), "token_type_ids", axis=0)))


def _position_rows(g: Graph, spec: EncoderSpec) -> str | None:
    if spec.positions is Positions.ABSOLUTE:
        return counted(g, sequence_length(g))
    if spec.positions is not Positions.ABSOLUTE_BY_ID:
        return None
    pad = g.constant(spec.pad_token_id, "int64")
    real = g.node("Cast", g.node("Not", g.node("Equal", "input_ids", pad)), to=INT64)
    count = g.node("CumSum", real, g.constant(1, "int64"))
    return str(g.node("Add", g.node("Mul", count, real), pad))
