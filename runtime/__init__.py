"""strizh.runtime: text to vectors, from a bundle. Needs numpy, tokenizers and onnxruntime, nothing else."""

import os

# From 1.29 on, ONNX Runtime's wheels report to their maker what they load and run, from a thread that also keeps a
# forked child from exiting. It reads this when it is imported; whoever wants the reports sets it to 0 first.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
