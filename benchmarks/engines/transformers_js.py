"""transformers.js under Node, with onnxruntime-node, on our portable bundle. Its worker is worker.cjs."""

from benchmarks.engines import Configuration

ENVIRONMENT = "node"
PACKAGES = ("@huggingface/transformers", "onnxruntime-node")
RUNS_WITH = PACKAGES
IMPORTS = ()


def configurations() -> list[Configuration]:
    """Texts only: its pipeline tokenizes, pads, pools and normalises by itself."""
    bundle = "bundle.portable-fp32"
    return [
        Configuration(
            "transformers.js fp32",
            "transformers_js",
            "fp32",
            {"file": bundle},
            files=(bundle,),
            batch_sizes=(1, 8, 32),
            takes=("strings",),
            least_cosine=0.999,  # a text above the model's length loses its last special token there
        )
    ]
