"""Vectors of a bundle with optimum-onnx, which gives the tokens': `python with_optimum.py BUNDLE < texts.json`."""

import json
import sys

import torch
from optimum.onnxruntime import ORTModelForFeatureExtraction
from transformers import AutoTokenizer

bundle = sys.argv[1]
tokenizer = AutoTokenizer.from_pretrained(bundle)
model = ORTModelForFeatureExtraction.from_pretrained(bundle, subfolder="onnx", file_name="model.onnx")
inputs = tokenizer(json.load(sys.stdin), padding=True, truncation=True, return_tensors="pt")
mask = inputs["attention_mask"].unsqueeze(-1)
means = (model(**inputs).last_hidden_state * mask).sum(1) / mask.sum(1)
json.dump(torch.nn.functional.normalize(means).tolist(), sys.stdout)
