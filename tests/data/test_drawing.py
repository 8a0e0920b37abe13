"""A few samples of any data: the same ones, whatever the data come in, and never a word to a loader's workers."""

import numpy as np
import pandas as pd
import pytest
import torch
from helpers import gaussian
from torch.utils.data import DataLoader, IterableDataset, SubsetRandomSampler, TensorDataset

import nfa
from nfa.data.drawing import Drawn, drawn
from nfa.data.samples import as_samples

X, Y = gaussian(50, 3), torch.arange(50)
TABLE = pd.DataFrame(X.numpy(), columns=list("abc"))


class Stream(IterableDataset):
    def __iter__(self):
        return iter(zip(X, Y, strict=True))


@pytest.mark.parametrize(
    "data",
    [
        (X, Y),
        (X.numpy(), Y.numpy()),
        (TABLE, pd.Series(Y.numpy())),
        (X.tolist(), Y.tolist()),
        ({"x": X}, Y),
        ((X, X), Y),
        as_samples((X, Y)),
        TensorDataset(X, Y),
        DataLoader(TensorDataset(X, Y), batch_size=7),
        DataLoader(TensorDataset(X, Y), batch_size=7, shuffle=True),
    ],
    ids=lambda data: type(data).__name__,
)
def test_the_same_rows_are_drawn_with_their_targets(data):
    expected = np.sort(np.random.default_rng(4).choice(50, 10, replace=False))
    (inputs, targets), how = drawn(data, 10, seed=4)
    assert how == Drawn(50)
    assert np.asarray(targets).tolist() == expected.tolist()
    first = inputs["x"] if isinstance(inputs, dict) else inputs[0] if isinstance(inputs, tuple) else inputs
    np.testing.assert_array_equal(np.asarray(first), X[expected])


def test_inputs_alone_stay_alone():
    assert drawn(X, 10)[0].shape == (10, 3)
    assert list(drawn(TABLE, 10)[0].columns) == ["a", "b", "c"]
    assert len(drawn(((X, X), None), 10)[0][0]) == 2


def test_few_samples_are_all():
    assert drawn((X, Y), 50)[0][0] is X
    assert drawn((X, Y), 50)[1] is None
    (inputs, targets), how = drawn(DataLoader(TensorDataset(X, Y), batch_size=7), 100)
    assert how is None
    assert torch.equal(inputs, X)
    assert torch.equal(targets, Y)


def test_of_a_stream_and_of_a_sampler_the_first_are_taken():
    (_, targets), how = drawn(DataLoader(Stream(), batch_size=7), 10)
    assert (targets.tolist(), how) == (list(range(10)), Drawn(None))
    own = DataLoader(TensorDataset(X, Y), batch_size=7, sampler=SubsetRandomSampler(range(20, 30)))
    assert set(drawn(own, 10)[0][1].tolist()) == set(range(20, 30))  # not the rows that the sampler leaves out


def test_an_audit_takes_samples_of_any_data():
    net = torch.nn.Linear(3, 2).double()
    for data in ((X, Y % 2), DataLoader(TensorDataset(X, Y % 2), batch_size=7, shuffle=True)):
        assert nfa.audit(net, data, samples=20).about.n_samples == 20


class OfTwoClasses(IterableDataset):
    """A stream of so many samples."""

    def __init__(self, samples):
        self.samples = samples

    def __iter__(self):
        return iter(zip(X[: self.samples], Y[: self.samples] % 2, strict=True))


@pytest.mark.parametrize(
    ("data", "options", "rows", "scored"),
    [
        ((X, Y % 2), {"samples": 20}, "20 of 50 rows of {}, drawn at random", "20 of 50 rows, drawn at random"),
        ((X, Y % 2), {"samples": 50}, "all 50 rows of {}", "all 50 rows"),
        ((X, Y % 2), {}, "all 50 rows of {}", "all 50 rows"),
        (DataLoader(TensorDataset(X, Y % 2), 7), {"samples": 20}, "20 of 50 rows of {}, drawn", "20 of 50 rows, drawn"),
        (OfTwoClasses(50), {"samples": 20}, "the first 20 rows of {}", "the first 20 rows"),
        (OfTwoClasses(8), {"samples": 20}, "all 8 rows of {}", "all 8 rows"),
        (
            nfa.data.Dataset(X.numpy(), Y.numpy() % 2, "own"),
            {"samples": 20},
            "20 of 50 rows of {}, drawn",
            "20 of 50 rows, drawn",
        ),
        (
            nfa.data.Dataset(X.numpy(), Y.numpy() % 2, "own").divide(test=0.2),
            {"samples": 20},
            "20 of 40 train rows of {}, drawn",
            "10 test",
        ),
    ],
)
def test_rows_that_were_drawn_are_said_to_be(data, options, rows, scored, tmp_path):
    audit = nfa.audit(torch.nn.Linear(3, 2).double(), data, **options)
    assert rows.format(audit.about.data) in repr(audit)
    assert f"on {rows.format(audit.about.data)}" in audit.methods()
    assert f"on {scored}" in audit.sentences()[0]
    assert f"on {scored}" in audit.methods()
    audit.save(tmp_path)
    loaded = nfa.Audit.load(tmp_path)
    assert (loaded.about, loaded.score) == (audit.about, audit.score)
    assert ("drawn at random" in audit.rows) == ("drawn" in rows)
    assert ("(seed 0)" in audit.methods()) == ("drawn" in rows)
