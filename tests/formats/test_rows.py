"""Rows in the shape that a network takes: what may be reshaped, and what only looks as if it could."""

import pytest
import torch

import nfa
from nfa.formats.rows import fit_rows, same_answers


@pytest.mark.parametrize(
    ("got", "shape"),
    [
        ((12,), (12,)),
        ((12,), (3, 4)),
        ((3, 4), (12,)),
        ((1, 12), (3, 4)),
        ((12,), (1, 3, 4)),
        ((3, 4), (1, 3, 4)),
        ((1, 3, 4), (3, 4)),
        ((3, 1, 4), (3, 4, 1)),
        ((), (1,)),
        ((1,), ()),
        ((5, 4), (None, 4)),
    ],
)
def test_entries_that_stay_in_order(got, shape):
    x = torch.randn(2, *got)
    fitted = fit_rows(x, shape)
    assert len(fitted.shape[1:]) == len(shape)
    assert all(size in (None, n) for n, size in zip(fitted.shape[1:], shape, strict=True))
    assert torch.equal(fitted.flatten(), x.flatten())


@pytest.mark.parametrize(
    ("got", "shape", "words"),
    [
        ((8, 8, 3), (3, 8, 8), "rows of shape 8 x 8 x 3, the network takes 3 x 8 x 8"),
        ((4, 6), (6, 4), "rows of shape 4 x 6, the network takes 6 x 4"),
        ((2, 2, 6), (4, 6), "rows of shape 2 x 2 x 6, the network takes 4 x 6"),
        ((7,), (12,), "rows of shape 7, the network takes 12"),
        ((7,), (None, 4), "rows of shape 7, the network takes any x 4"),
        ((), (12,), "rows of a single number, the network takes 12"),
    ],
)
def test_entries_that_would_get_out_of_order(got, shape, words):
    with pytest.raises(nfa.InputError) as caught:
        fit_rows(torch.zeros(2, *got), shape)
    assert str(caught.value) == f"data: {words}"


def test_same_answers():
    answers = torch.tensor([[1.0, -1000.0], [float("nan"), float("inf")]])
    assert same_answers(answers + 1e-3, answers)
    assert not same_answers(answers + 10, answers)
    assert not same_answers(answers[:1], answers)
    assert not same_answers(answers.nan_to_num(0.0), answers)
    assert not same_answers(answers > 0, answers)
    assert same_answers((answers + 10).bfloat16(), answers.bfloat16())
    assert same_answers(torch.zeros(0), torch.zeros(0))
