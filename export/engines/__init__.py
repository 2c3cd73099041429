"""TensorRT engines built ahead of time, for a grid of shapes, and put into a bundle."""
