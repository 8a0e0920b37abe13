"""ONNX operators as torch functions: a table in each file, all of them together here."""

from nfa.formats.onnx.operators.elementwise import ELEMENTWISE
from nfa.formats.onnx.operators.norms import NORMS
from nfa.formats.onnx.operators.operator import Operator
from nfa.formats.onnx.operators.products import PRODUCTS
from nfa.formats.onnx.operators.reductions import REDUCTIONS
from nfa.formats.onnx.operators.shapes import SHAPES
from nfa.formats.onnx.operators.windows import WINDOWS

OPERATORS: dict[str, Operator] = {**ELEMENTWISE, **PRODUCTS, **NORMS, **WINDOWS, **SHAPES, **REDUCTIONS}
"""By ONNX's name; a domain other than ONNX's own stands in front."""
