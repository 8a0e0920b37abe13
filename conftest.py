"""What cannot be collected here: adapters to libraries that are not installed, and tests that need a Unix."""

from importlib.util import find_spec

collect_ignore = [
    f"nfa/tracking/{library}.py" for library in ("lightning", "skorch", "transformers") if find_spec(library) is None
]
# Windows has neither limits of a process nor signals that end one.
collect_ignore_glob = [] if find_spec("resource") else ["tests/random/*.py", "tests/common/test_writing.py"]
