"""What adapters share."""

import sys
from importlib import import_module

import pytest

from nfa.common import InputError


@pytest.mark.parametrize("library", ["lightning", "skorch", "transformers"])
def test_a_library_that_is_missing_is_named_in_one_line(library, monkeypatch):
    for name in [name for name in sys.modules if name.split(".")[0] == library]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, library, None)
    monkeypatch.delitem(sys.modules, f"nfa.tracking.{library}", raising=False)
    with pytest.raises(InputError, match=rf"tracking: this adapter needs {library}: pip install .*\[{library}\]"):
        import_module(f"nfa.tracking.{library}")
