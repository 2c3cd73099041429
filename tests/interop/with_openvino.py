"""Vectors of a bundle with OpenVINO, which reads the ONNX file as it is: `python with_openvino.py BUNDLE < texts.json`."""

import json
import sys
from pathlib import Path

import numpy as np
import openvino
from tokenizers import Tokenizer

bundle = Path(sys.argv[1])
limits = json.loads((bundle / "strizh.json").read_text(encoding="utf-8"))
tokenizer = Tokenizer.from_file(str(bundle / "tokenizer.json"))
tokenizer.enable_truncation(limits["max_length"])
tokenizer.enable_padding(pad_id=limits["spec"]["pad_token_id"])
texts = tokenizer.encode_batch(json.load(sys.stdin))
inputs = {
    "input_ids": np.array([text.ids for text in texts]),
    "attention_mask": np.array([text.attention_mask for text in texts]),
}
# Without the hint OpenVINO computes in bfloat16 where the processor can.
model = openvino.compile_model(bundle / "onnx/model.onnx", "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
json.dump(model(inputs)["sentence_embedding"].tolist(), sys.stdout)
