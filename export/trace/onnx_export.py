"""From a traced module to a graph that looks like the built ones: same inputs, outputs, order, and nothing of torch's."""

import onnx
import torch
from onnx import TensorProto, helper
from torch import nn

from strizh.export.graph import IR_VERSION
from strizh.export.trace.quiet import quiet_exporter
from strizh.runtime.errors import UnsupportedModel

OPSET = 18  # the lowest that the exporter writes without converting down
BATCH_SEQUENCE = ("batch", "sequence")


def to_onnx(module: nn.Module, vocab_size: int) -> onnx.ModelProto:
    """Trace a `SentenceEncoder`, batch and sequence dynamic. Raises `UnsupportedModel` if torch cannot."""
    # Batch and length above 1 and unequal, so that no dimension is taken for a constant or for another one; one row is
    # padded, so that no model takes its way around masks.
    input_ids = torch.arange(2 * 7).reshape(2, 7) % vocab_size
    attention_mask = torch.ones_like(input_ids)
    attention_mask[1, 5:] = 0
    dims = dict(enumerate(torch.export.Dim(name) for name in BATCH_SEQUENCE))
    try:
        with torch.no_grad(), quiet_exporter():
            hidden, vector = module(input_ids, attention_mask)
            program = torch.onnx.export(
                module,
                (input_ids, attention_mask),
                dynamo=True,
                verbose=False,
                input_names=["input_ids", "attention_mask"],
                output_names=["token_embeddings", "sentence_embedding"],
                dynamic_shapes={"input_ids": dims, "attention_mask": dims},
                opset_version=OPSET,
            )
    except (torch.onnx.errors.OnnxExporterError, RuntimeError, ValueError, TypeError) as error:
        reason = str(error.__cause__ or error).strip().splitlines()[0]
        raise UnsupportedModel(
            f"torch cannot trace {type(module.encoder).__name__} with dynamic batch and sequence ({reason}). "
            "It needs a family of its own: see strizh.export.families."
        ) from error
    return _plain(program.model_proto, hidden.shape[-1], vector.shape[-1])


def _plain(model: onnx.ModelProto, hidden_size: int, dim: int) -> onnx.ModelProto:
    """Drop what torch adds (paths of source files among it) and declare inputs and outputs as the built graphs do."""
    opsets = [opset for opset in model.opset_import if opset.domain == ""]
    if len(model.functions) or any(node.domain for node in model.graph.node):
        raise UnsupportedModel("the trace holds operators that are not standard ONNX. It needs a family of its own.")
    plain = onnx.ModelProto(ir_version=IR_VERSION, producer_name="strizh", opset_import=opsets)
    graph = plain.graph
    graph.name = "traced"
    for node in model.graph.node:
        node.ClearField("metadata_props")
        node.ClearField("doc_string")
        graph.node.append(node)
    used = {name for node in graph.node for name in node.input}
    for tensor in model.graph.initializer:
        if tensor.name in used:
            tensor.ClearField("metadata_props")
            graph.initializer.append(tensor)
    for name in ("input_ids", "attention_mask"):
        graph.input.append(helper.make_tensor_value_info(name, TensorProto.INT64, BATCH_SEQUENCE))
    graph.node.append(helper.make_node("Identity", ["token_embeddings"], ["last_hidden_state"]))  # as the built graphs
    tokens = (*BATCH_SEQUENCE, hidden_size)
    shapes = {"token_embeddings": tokens, "sentence_embedding": (BATCH_SEQUENCE[0], dim), "last_hidden_state": tokens}
    for name, shape in shapes.items():
        graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, shape))
    helper.set_model_props(plain, {"family": "traced"})
    return plain
