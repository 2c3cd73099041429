"""Vectors of a bundle with sentence-transformers' ONNX backend: `python with_sentence_transformers.py BUNDLE < texts.json`."""

import json
import sys

from sentence_transformers import SentenceTransformer

model = SentenceTransformer(sys.argv[1], backend="onnx", model_kwargs={"file_name": "model.onnx"}, device="cpu")
json.dump(model.encode(json.load(sys.stdin), prompt="").tolist(), sys.stdout)
