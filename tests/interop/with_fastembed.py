"""Vectors of a bundle as fastembed's custom model, which pools by itself: `python with_fastembed.py BUNDLE < texts.json`."""

import json
import sys
from pathlib import Path

from fastembed import TextEmbedding
from fastembed.common.model_description import ModelSource, PoolingType

bundle = Path(sys.argv[1])
TextEmbedding.add_custom_model(
    model="strizh/bundle",
    pooling=PoolingType.MEAN,
    normalization=True,
    sources=ModelSource(url=bundle.absolute().as_uri()),
    dim=json.loads((bundle / "strizh.json").read_text(encoding="utf-8"))["dimension"],
    model_file="onnx/model.onnx",
)
model = TextEmbedding("strizh/bundle", specific_model_path=str(bundle))
json.dump([vector.tolist() for vector in model.embed(json.load(sys.stdin))], sys.stdout)
