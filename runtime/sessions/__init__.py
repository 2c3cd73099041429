"""Sessions of ONNX Runtime behind one interface: a packed batch in, one vector a text out."""
