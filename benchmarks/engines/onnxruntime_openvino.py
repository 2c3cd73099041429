"""ONNX Runtime with the OpenVINO plug-in provider (onnxruntime-ep-openvino), which computes in bfloat16 by default."""

from pathlib import Path
from typing import Any

from benchmarks.engines import Configuration
from benchmarks.engines.onnxruntime import OnnxRuntimeEngine

ENVIRONMENT = "openvino"
PACKAGES = ("onnxruntime", "onnxruntime-ep-openvino")
RUNS_WITH = ("onnxruntime", "onnxruntime-ep-openvino", "tokenizers")
IMPORTS = ("onnxruntime", "onnxruntime_ep_openvino")
_NAME = "OpenVINOExecutionProvider"  # its .AUTO devices must not be mixed in


def configurations() -> list[Configuration]:
    """Our portable file and torch's export."""
    return [
        Configuration(
            "onnxruntime-openvino bf16",
            "onnxruntime_openvino",
            "bf16",
            {"file": file},
            files=(file,),
            least_cosine=0.99,
        )
        for file in ("portable.onnx", "torch.onnx")
    ]


class PluginEngine(OnnxRuntimeEngine):
    """The same session with another provider."""

    def __init__(self, path: Path, threads: int, pad: int) -> None:
        import onnxruntime
        import onnxruntime_ep_openvino as plugin

        onnxruntime.register_execution_provider_library(_NAME, plugin.get_library_path())
        devices = [device for device in onnxruntime.get_ep_devices() if device.ep_name == _NAME]
        if not devices:
            raise RuntimeError("the OpenVINO plug-in offers no device on this machine: it takes Intel's only")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.add_provider_for_devices(devices[:1], {"num_of_threads": str(threads)})
        self._session = onnxruntime.InferenceSession(str(path), options)
        self._pad = pad


def open_engine(model: dict[str, Any], threads: int, file: str) -> PluginEngine:
    """Open one of the model's files."""
    return PluginEngine(Path(model["files"]) / file, threads, model["pad_token_id"])
