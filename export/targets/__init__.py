"""The engines a graph is written for, one a file: `build(spec, weights, head)` gives the model."""
