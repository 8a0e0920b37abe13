"""What targets are beside a network's outputs."""

import numpy as np
import pytest
import torch

from nfa.common import InputError
from nfa.network import Model
from nfa.rfm.deep.targets import targets_of

NET = torch.nn.Linear(2, 3)


@pytest.mark.parametrize(
    ("classes", "y", "answers", "notes"),
    [
        (None, [0, 1, 2], [0, 1, 2], 0),
        (None, [0, 1, 1], [0, 1, 2], 1),
        (None, [0, 1, 5], [0, 1, 2], 1),
        (None, ["u", "w", "v"], ["u", "v", "w"], 0),
        (("c", "a", "b"), ["a", "b", "c"], ["c", "a", "b"], 0),
        (("c", "a", "b"), ["a", "b", "d"], ["c", "a", "b"], 1),
        (("3", "5", "8"), [3, 5, 8], [3, 5, 8], 0),
        (("3", "5", "8"), [0, 1, 2], [0, 1, 2], 0),
    ],
)
def test_outputs_stand_for_labels(classes, y, answers, notes):
    found = targets_of(Model(NET, "net", classes=classes), y, 3, 3)
    assert found.answers.tolist() == answers
    assert found.values.tolist() == y
    assert len(found.notes) == notes


def test_numbers_stand_for_themselves():
    found = targets_of(Model(NET, "net"), [[0.1, 0.2], [0.3, 0.4]], 2, 3)
    assert found.answers is None
    np.testing.assert_array_equal(found.values, [[0.1, 0.2], [0.3, 0.4]])


def test_refusals():
    with pytest.raises(InputError, match="y: 2 targets, but X has 3 rows"):
        targets_of(Model(NET, "net"), [0, 1], 3, 3)
    with pytest.raises(InputError, match="y: 2 classes called by text, but the network has 3 outputs"):
        targets_of(Model(NET, "net"), ["a", "b"], 2, 3)
