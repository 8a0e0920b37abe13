"""Which targets are classes."""

import numpy as np
import pytest
import torch

from nfa.rfm.estimators.labels import labels_of


@pytest.mark.parametrize(
    ("y", "c", "labels"),
    [
        ([0, 2, 1], 3, [0, 2, 1]),
        ([[0], [2], [1]], 3, [0, 2, 1]),
        ([0.0, 2.0, 1.0], 3, [0, 2, 1]),
        ([[0.0, 1.0], [1.0, 0.0]], 2, [1, 0]),
        ([[0, 1], [1, 0]], 2, [1, 0]),
        ([[False, True], [True, False]], 2, [1, 0]),
        (torch.nn.functional.one_hot(torch.tensor([2, 0])), 3, [2, 0]),
        (np.eye(2, dtype=np.uint8), 2, [0, 1]),
        (np.eye(2, dtype=object), 2, [0, 1]),
        ([[1, 1], [1, 0]], 2, None),
        ([[0, 1], [1, 0]], 3, None),
        ([["p", "q"], ["q", "p"]], 2, None),
        (torch.tensor([1, 0]), 2, [1, 0]),
        ([True, False], 1, [True, False]),
        ([0, 1], 1, [0, 1]),
        (["p", "q"], 2, ["p", "q"]),
        ([0, 1, 7], 1, None),
        ([0.0, 1.0], 1, None),
        ([0.5, 1.0], 3, None),
        ([[0.0, 0.5], [1.0, 0.0]], 2, None),
        ([[1.0, 1.0], [1.0, 0.0]], 2, None),
    ],
)
def test_classes_and_numbers_are_told_apart(y, c, labels):
    found = labels_of(y, c)
    assert labels is None if found is None else found.tolist() == labels
