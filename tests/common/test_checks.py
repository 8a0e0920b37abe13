"""Suggestions for names that are unknown."""

import pytest

from nfa import InputError
from nfa.common.checks import one_of

MANY = [f"column_{i}" for i in range(60)]


@pytest.mark.parametrize(
    ("given", "choices", "message"),
    [
        ("pie", ["layers", "powers"], "'pie' is unknown (known: layers, powers)"),
        (".bmp", [".pdf", ".png", ".svg"], "'.bmp' is unknown (known: .pdf, .png, .svg)"),
        ("lairs", ["layers", "powers"], "'lairs' is unknown; did you mean 'layers'? (known: layers, powers)"),
        ("colum_59", MANY, "'colum_59' is unknown; did you mean 'column_59'?"),
        ("x", MANY, f"'x' is unknown (known: {', '.join(MANY)})"),
    ],
)
def test_the_nearest_name_is_suggested_if_it_is_near_and_stands_alone_among_many(given, choices, message):
    with pytest.raises(InputError) as caught:
        one_of("kind", given, choices)
    assert str(caught.value) == f"kind: {message}"
