"""ONNX files: a small translation of the operators that fully connected networks use."""
