"""An engine as an ONNX graph: one node that holds it, between the inputs and outputs of the graph that it was built from.

ONNX Runtime's EPContext design: the node's `source` is the provider that opens it, `embed_mode` 1 says that the engine is
in the node and not in a file beside.
"""

from pathlib import Path

import onnx
from onnx import helper

from strizh.export.graph import IR_VERSION
from strizh.runtime.engines import Engine
from strizh.runtime.errors import UsageError

_PROTOBUF_LIMIT = 2 * 10**9


def wrap(graph: Path, plan: bytes, engine: Engine) -> onnx.ModelProto:
    """The model around the serialized engine `plan` of the ONNX file `graph`; `UsageError` for one beyond 2 GB."""
    if len(plan) > _PROTOBUF_LIMIT:
        raise UsageError(
            f"the engine has {len(plan) / 1e9:.1f} GB, an ONNX file holds 2. Build it with --strip-weights, by TensorRT."
        )
    source = onnx.load(graph, load_external_data=False).graph
    capabilities = [capability.replace(".", "") for capability in engine.capabilities]
    node = helper.make_node(
        "EPContext",
        [value.name for value in source.input],
        [value.name for value in source.output],
        name=f"{source.name}_{engine.profile}",
        domain="com.microsoft",
        main_context=1,
        embed_mode=1,
        ep_cache_context=plan,
        source=engine.provider,
        ep_sdk_version=engine.version,
        partition_name=f"{source.name}_{engine.profile}",
        hardware_architecture=",".join(capabilities),
        onnx_model_filename=graph.name,
    )
    wrapped = helper.make_graph([node], source.name, source.input, source.output)
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
    return helper.make_model(wrapped, opset_imports=opsets, ir_version=IR_VERSION, producer_name="strizh")
