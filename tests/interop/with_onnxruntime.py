"""Vectors of a bundle with ONNX Runtime, tokenizers and NumPy: `python with_onnxruntime.py BUNDLE < texts.json`."""

import json
import sys
from pathlib import Path

import numpy as np
from onnxruntime import InferenceSession
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
session = InferenceSession(bundle / "onnx/model.onnx", providers=["CPUExecutionProvider"])
(vectors,) = session.run(["sentence_embedding"], inputs)
json.dump(vectors.tolist(), sys.stdout)
