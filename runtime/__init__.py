"""strizh.runtime: text to vectors, from a bundle. Needs numpy, tokenizers and onnxruntime, nothing else."""
