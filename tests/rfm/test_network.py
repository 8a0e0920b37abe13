"""What is said of a layer's rows."""

import torch
from helpers import gaussian

from nfa.rfm.network import unusual_rows

DEAD = "sees the same for every sample: what comes before it is dead on X"


def test_rows_are_few_or_the_same_or_neither():
    assert unusual_rows(gaussian(5, 5)) == []
    assert unusual_rows(gaussian(4, 5)) == ["takes 5 entries, but there are 4 samples"]
    assert unusual_rows(gaussian(1, 5).expand(6, 5)) == [DEAD]
    assert unusual_rows(torch.zeros(2, 3))[1:] == [DEAD]
    assert len(unusual_rows(torch.zeros(1, 3))) == 1  # of one sample nothing can be the same
    assert unusual_rows(gaussian(6, 2).reshape(3, 2, 2)) == []  # several rows for each sample
    assert unusual_rows(gaussian(2, 2).expand(3, 2, 2)) == [DEAD]
