"""The CUDA graphs without CUDA: `onnx.reference` with every operator that is not ONNX's own written out in NumPy.

A definition here says what an operator computes and where it rounds, so that a graph can be compared with its model,
and a float16 overflow seen, on a machine that has no GPU.
"""
