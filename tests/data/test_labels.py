"""Which targets are classes."""

import numpy as np
import pytest
import torch

from nfa.data.labels import class_labels, target_array


@pytest.mark.parametrize(
    ("y", "c", "labels"),
    [
        ([0, 2, 1], 3, [0, 2, 1]),
        ([[0], [2], [1]], 3, [0, 2, 1]),
        ([0.0, 2.0, 1.0], 3, [0, 2, 1]),
        ([[0.0, 1.0], [1.0, 0.0]], 2, [1, 0]),
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
    found = class_labels(target_array(y), c)
    assert labels is None if found is None else found.tolist() == labels
