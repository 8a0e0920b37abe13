"""What a missing package is called."""

import re

import pytest

from nfa.common import InputError
from nfa.common.extras import MissingExtraError, extra


def test_a_missing_package_is_named_with_its_extra():
    line = "out: figures need nowhere: pip install 'neural-feature-ansatz[plots]'"
    with pytest.raises(MissingExtraError, match=re.escape(line)) as caught, extra("plots", "out", "figures need"):
        import nowhere.inside  # noqa: F401
    assert isinstance(caught.value, InputError)
    assert isinstance(caught.value, ImportError)


def test_a_package_that_is_too_old_or_broken_says_what_it_lacks():
    line = r"data: sets need json \(cannot import name 'newest' from 'json' .*\): pip install '.*\[all\]'"
    with pytest.raises(MissingExtraError, match=line), extra("all", "data", "sets need"):
        from json import newest  # noqa: F401
    line = r"model: files need onnx \(libonnx.so: no such file\): pip install '.*\[onnx\]'"
    with pytest.raises(MissingExtraError, match=line), extra("onnx", "model", "files need"):
        raise ImportError("libonnx.so: no such file")


def test_a_fault_of_this_package_is_not_called_a_missing_one():
    with pytest.raises(ModuleNotFoundError, match=r"nfa\.nowhere"), extra("all", "data", "sets need"):
        import nfa.nowhere  # noqa: F401


def test_the_extra_that_is_named_is_that_of_what_is_missing():
    with pytest.raises(MissingExtraError, match="inner need") as caught, extra("cli", "nfa", "outer needs"):  # noqa: SIM117
        with extra("plots", "out", "inner need"):
            import nowhere  # noqa: F401
    assert caught.value.argument == "out"
