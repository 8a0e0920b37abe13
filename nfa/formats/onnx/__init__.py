"""ONNX files: the graph is checked, folded and named; its operators are in `operators/`."""
