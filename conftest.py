"""Adapters to libraries that are not installed are not collected for their doctests."""

from importlib.util import find_spec

collect_ignore = [
    f"nfa/tracking/{library}.py" for library in ("lightning", "skorch", "transformers") if find_spec(library) is None
]
