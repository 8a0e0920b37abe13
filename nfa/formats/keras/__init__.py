"""Keras files: the text that describes the layers (`config.py`), the arrays (`file.py`), the network (`net.py`)."""
