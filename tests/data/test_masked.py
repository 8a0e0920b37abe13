"""Masked entries would count like any other, so every call refuses them by the argument's name."""

import numpy as np
import pytest
import torch
from torch import nn

import nfa
from nfa.network import score
from nfa.rfm import LayerwiseRFM, RFMClassifierCV, RFMRegressor
from nfa.tables.features import layer_features

X = np.random.default_rng(0).normal(size=(12, 2))
Y = np.resize([0, 1], 12)
MASKED = np.ma.masked_array(X, mask=np.arange(24).reshape(12, 2) % 7 == 6)
LABELS = np.ma.masked_array(Y, mask=[0, 0, 1, *([0] * 9)])
NET = nn.Linear(2, 2).double()
SEARCH = RFMClassifierCV(kernels=["laplace"], bandwidths=[1.0], ridges=[0.1], max_iters=0, cv=2)


class TwoInputs(nn.Module):
    def __init__(self):
        super().__init__()
        self.one, self.two = nn.Linear(2, 2).double(), nn.Linear(2, 2).double()

    def forward(self, a, b):
        return self.one(a) + self.two(b)


@pytest.mark.parametrize(
    ("argument", "call"),
    {
        "audit of X": ("data", lambda: nfa.audit(NET, MASKED)),
        "audit of y": ("y", lambda: nfa.audit(NET, (X, LABELS))),
        "several inputs": (r"data\[1\]", lambda: nfa.audit(TwoInputs(), ((X, MASKED), Y))),
        "inputs by name": (r"data\['b'\]", lambda: nfa.audit(TwoInputs(), {"a": X, "b": MASKED})),
        "score": ("y", lambda: score(NET, (X, LABELS))),
        "set of X": ("X", lambda: nfa.Dataset(MASKED, Y)),
        "set of y": ("y", lambda: nfa.Dataset(X, LABELS)),
        "machine's X": ("X", lambda: RFMRegressor().fit(MASKED, Y)),
        "machine's y": ("y", lambda: RFMRegressor().fit(X, LABELS)),
        "machine's weights": ("sample_weight", lambda: RFMRegressor().fit(X, Y, LABELS)),
        "machine's first M": ("M_init", lambda: RFMRegressor(M_init=np.ma.masked_equal(np.eye(2), 0)).fit(X, Y)),
        "new rows": ("X", lambda: RFMRegressor(n_iters=0).fit(X, Y).predict(MASKED)),
        "groups": ("groups", lambda: SEARCH.fit(X, Y, groups=LABELS)),
        "held-out targets": ("validation", lambda: SEARCH.fit(X, Y, validation=(X, LABELS))),
        "layerwise": ("y", lambda: LayerwiseRFM(nfa.MLP(2, [3, 3], n_outputs=2)).fit(X, LABELS)),
        "sample": ("sample", lambda: layer_features(nfa.audit(NET, X), 0, sample=np.ma.masked_equal([1.0, 0.0], 0))),
    }.values(),
)
def test_masked_entries_are_refused(argument, call):
    with pytest.raises(
        nfa.InputError, match=rf"^{argument}: .* masked(, the first at row \d)?; leave such rows out, or"
    ):
        call()


def test_an_array_that_could_have_masked_entries_and_has_none_is_an_array():
    plain = np.ma.masked_array(X, mask=False)
    expected = nfa.audit(NET, (X, Y))
    assert nfa.audit(NET, (plain, np.ma.masked_array(Y))).to_frame().equals(expected.to_frame())
    assert torch.equal(torch.from_numpy(RFMRegressor().fit(plain, Y).M_), torch.from_numpy(RFMRegressor().fit(X, Y).M_))
