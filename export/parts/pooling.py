"""From token vectors to sentence vectors and logits, over a padded batch."""

from collections.abc import Callable

from strizh.export.graph import FLOAT, Graph
from strizh.export.parts.embeddings import counted, sequence_length
from strizh.export.parts.linear import activation, linear, norm
from strizh.export.spec import Classifier, EncoderSpec, Pooling

# [batch, hidden_size] of all token vectors, in one of the ways that `Pooling` names.
Pool = Callable[[Graph, str, Pooling], str]


def sentence_embedding(g: Graph, spec: EncoderSpec, hidden: str, pool: Pool) -> str:
    """[batch, dim]: poolings concatenated, projections, L2 norm where the spec says so."""
    with g.scope("pooling"):
        pooled = [pool(g, hidden, mode) for mode in spec.pooling]
        vector = pooled[0] if len(pooled) == 1 else g.node("Concat", *pooled, axis=-1)
        for index, dense in enumerate(spec.projections):
            vector = linear(g, vector, f"projections.{index}", dense.bias)
            vector = activation(g, dense.activation, vector)
        if spec.normalize:  # an all-zero vector stays zero: the bound is torch.nn.functional.normalize's
            length = g.node("Max", g.reduce("ReduceL2", vector, -1), g.constant(1e-12))
            vector = g.node("Div", vector, length)
        return str(vector)


def checksum(g: Graph) -> dict[str, tuple[int, tuple[str | int, ...]]]:
    """The output `checksum` [1, 1], the sum of all sentence vectors: finite only if all their numbers are.

    By it vectors are checked that stay on the device where they are computed.
    """
    g.rename(g.node("ReduceSum", "sentence_embedding", g.constant([0, 1], "int64"), keepdims=1), "checksum")
    return {"checksum": (FLOAT, (1, 1))}


def logits(g: Graph, spec: EncoderSpec, hidden: str, pool: Pool) -> str:
    """[batch, labels] of the checkpoint's classification head."""
    head = spec.classifier
    assert head is not None
    with g.scope("classifier"):
        if head.hidden_of_tokens:
            vector = pool(g, _hidden(g, spec, head, hidden), head.pooling)
        else:
            vector = _hidden(g, spec, head, pool(g, hidden, head.pooling))
        return linear(g, vector, "classifier.out", head.out_bias)


def _hidden(g: Graph, spec: EncoderSpec, head: Classifier, x: str) -> str:
    """What a head does before its last layer."""
    if head.hidden_activation:
        x = activation(g, head.hidden_activation, linear(g, x, "classifier.dense", head.hidden_bias))
    return norm(g, spec, x, "classifier.norm") if head.hidden_norm else x


def pool_padded(g: Graph, hidden: str, mode: Pooling) -> str:
    """[batch, hidden_size] of [batch, sequence, hidden_size] under `attention_mask`."""
    match mode:
        case Pooling.CLS:
            return str(g.node("Gather", hidden, g.constant(0, "int64"), axis=1))
        case Pooling.FIRST_TOKEN_TRANSFORM:
            return str(g.node("Tanh", linear(g, pool_padded(g, hidden, Pooling.CLS), "pooler")))
        case Pooling.LAST:
            return _last(g, hidden)
        case Pooling.MAX:
            shown = g.node("Cast", g.node("Unsqueeze", "attention_mask", g.constant([2], "int64")), to=9)
            return str(g.reduce("ReduceMax", g.node("Where", shown, hidden, g.constant(-1e9)), 1, keepdims=0))
    weight = _weights(g, mode)
    total = g.node("ReduceSum", g.node("Mul", hidden, weight), g.constant([1], "int64"), keepdims=0)
    count = g.node("Max", g.node("ReduceSum", weight, g.constant([1], "int64"), keepdims=0), g.constant(1e-9))
    return str(g.node("Div", total, g.node("Sqrt", count) if mode is Pooling.MEAN_SQRT_LEN else count))


def _weights(g: Graph, mode: Pooling) -> str:
    """[batch, sequence, 1]: 1 for a real token (its number counted from 1 for the weighted mean), 0 for padding."""
    mask = g.node("Cast", g.node("Unsqueeze", "attention_mask", g.constant([2], "int64")), to=FLOAT)
    if mode is not Pooling.WEIGHTED_MEAN:
        return str(mask)
    number = g.node("Add", g.node("Cast", counted(g, sequence_length(g)), to=FLOAT), g.constant(1.0))
    return str(g.node("Mul", mask, g.node("Unsqueeze", number, g.constant([0, 2], "int64"))))


def _last(g: Graph, hidden: str) -> str:
    """The last real token of each text, right padding as the runtime makes it."""
    count = g.node("ReduceSum", "attention_mask", g.constant([1], "int64"), keepdims=1)
    index = g.node("Max", g.node("Sub", count, g.constant(1, "int64")), g.constant(0, "int64"))
    return str(g.node("GatherND", hidden, index, batch_dims=1))
