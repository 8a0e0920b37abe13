"""What a pair means, however it comes."""

import re
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, IterableDataset, TensorDataset

import nfa
from nfa.data.inputs import in_words
from nfa.data.pairs import paired, paired_batch

SAME = ["cosine", "nfm_trace", "agop_trace"]


class Gated(nn.Module):
    """A network whose second input may be left out."""

    def __init__(self):
        super().__init__()
        self.a, self.o = nn.Linear(10, 8), nn.Linear(8, 2)

    def forward(self, x, gain=None):
        z = self.o(torch.tanh(self.a(x)))
        return z if gain is None else z * gain


class Two(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b, self.o = nn.Linear(10, 8), nn.Linear(2, 8), nn.Linear(8, 2)

    def forward(self, a, b):
        return self.o(torch.tanh(self.a(a) + self.b(b)))


class Items(torch.utils.data.Dataset):
    """A data set whose samples come in any form."""

    def __init__(self, form, n=60):
        self.form, self.n = form, n

    def __len__(self):
        return self.n

    def __getitem__(self, row):
        return self.form(row)


@pytest.fixture
def inputs():
    generator = torch.Generator().manual_seed(0)
    A, B = torch.randn(60, 10, generator=generator), torch.rand(60, 2, generator=generator) * torch.tensor([5.0, 0.1])
    return A.double(), B.double()


@pytest.mark.parametrize(("kind", "names"), [(Gated, ("x", "gain")), (Two, ("a", "b"))])
def test_two_inputs_without_targets_are_two_inputs(inputs, kind, names):
    A, B = inputs
    torch.manual_seed(0)
    net = kind().double()
    expected = nfa.audit(net, dict(zip(names, inputs, strict=True)))
    y = torch.arange(60) % 2
    alone = [
        ((A, B), None),
        [(A, B), None],
        ((A.numpy(), B.numpy()), None),
        ((pd.DataFrame(A.numpy()), pd.DataFrame(B.numpy())), None),
        (dict(zip(names, inputs, strict=True)), None),
        Items(lambda row: ((A[row], B[row]), None)),
        DataLoader(Items(lambda row: row), 7, collate_fn=lambda rows: ((A[rows], B[rows]), None)),
        DataLoader(Items(lambda row: row), 7, collate_fn=lambda rows: [[A[rows], B[rows]], None]),
    ]
    for data in (*alone, ((A, B), y), Items(lambda row: ((A[row], B[row]), y[row])), [(A, B), y]):
        got = nfa.audit(net, data)
        np.testing.assert_allclose(got.to_frame().cosine, expected.to_frame().cosine, rtol=1e-10)
    for data in alone:
        assert nfa.audit(net, data).score is None
    known = nfa.load(net, classes=["no", "yes"])
    labels = ["yes" if number else "no" for number in y]
    for data in (((A, B), labels), ((A, B), y)):
        assert nfa.audit(known, data).score == nfa.audit(net, ((A, B), y)).score
    assert nfa.audit(known, ((A, B), None)).score is None


def test_one_input_without_targets_is_one_input(inputs):
    A, _ = inputs
    net = nn.Linear(10, 2).double()
    expected = nfa.audit(net, A).to_frame().cosine
    for data in ((A, None), (A,), [A, None], (A.numpy(), None), (A.tolist(), None), Items(lambda row: (A[row], None))):
        got = nfa.audit(net, data)
        assert got.score is None
        np.testing.assert_allclose(got.to_frame().cosine, expected)
    table = pd.DataFrame(A.numpy()).add_prefix("f")
    assert nfa.audit(net, (table, None)).about.feature_names == nfa.audit(net, table).about.feature_names != []


def test_substitution_takes_the_same_pairs(inputs):
    A, B = inputs
    torch.manual_seed(0)
    net = Two().double()
    named = nfa.substitute(net, {"a": A, "b": B}, alpha=0.5, draws=1).to_frame()
    for data in (((A, B), None), DataLoader(TensorDataset(A, B), 7, collate_fn=_two)):
        got = nfa.substitute(net, data, alpha=0.5, draws=1).to_frame()
        np.testing.assert_allclose(got.output_r2, named.output_r2, rtol=1e-8)


def _two(rows):
    return tuple(torch.stack(each) for each in zip(*rows, strict=True)), None


def test_words():
    A, y = torch.zeros(3, 2), torch.zeros(3)
    for data, words in (
        (((A, A), None), "several inputs"),
        (((A, A), y), "several inputs with targets"),
        ((A, y), "a tensor with targets"),
        ([A, y], "a tensor with targets"),
        ((A, None), "a tensor"),
        (({"a": A}, y), "several inputs with targets"),
        ([[1, 2], [3, 4]], "a list"),
    ):
        assert in_words(data) == words


def test_what_could_be_two_things_is_refused():
    A = torch.zeros(3, 2)
    with pytest.raises(nfa.InputError, match=r"two tables of one shape; hand over a tuple \(X, y\)"):
        paired([A, A])
    for data in ((A, A, A), ()):
        with pytest.raises(nfa.InputError, match=r"a tuple of \d; hand over \(X, y\)"):
            paired(data)
    with pytest.raises(nfa.InputError, match="the loader yields 3 things"):
        paired_batch([A, A, A])
    for rows in ([[1, 2], [3, 4]], [(1, 2), (3, 4)], [np.zeros(2), np.zeros(2)], [A, A, A]):
        assert paired(rows) == (rows, None)
    scaled = replace(nfa.load(nfa.MLP(2, 4, 1, 2)), transform=np.asarray)
    with pytest.raises(nfa.InputError, match="several inputs cannot be prepared as this network needs"):
        nfa.audit(scaled, ((A, A), None))


def broken(row):
    if row == 9:
        raise KeyError("no picture 9")
    return torch.zeros(3)


def nothing(row):
    return None


class Once(IterableDataset):
    """Samples that can be read once."""

    def __init__(self):
        self.rows = iter(torch.randn(20, 3))

    def __iter__(self):
        return self.rows


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (Items(broken), "the loader fails at batch 0: KeyError: 'no picture 9'"),
        (DataLoader(Items(broken), 2, num_workers=1), "the loader fails at batch 4: KeyError: .*no picture 9"),
        (Items(nothing), "the loader fails at batch 0: TypeError: .*NoneType"),
        (Items(lambda row: torch.full((3,), float(row == 9) * float("nan"))), "nan at row 0, column 0"),
        (Items(lambda row: (torch.zeros(3), torch.tensor(float("nan") if row == 9 else 0))), "y: nan at row 9"),
        (
            DataLoader(Items(lambda row: torch.zeros(3 + row // 30)), 5),
            r"batch 6 of the loader has float32 rows of shape \(4,\) for data, the first has .*\(3,\)",
        ),
        (
            DataLoader(
                Items(lambda row: row),
                5,
                collate_fn=lambda rows: (torch.zeros(5, 3), *([torch.ones(5)] * (rows[0] > 9))),
            ),
            "batch 2 of the loader has float32 rows .* for targets, the first has nothing",
        ),
        (
            DataLoader(Items(lambda row: row), 5, collate_fn=lambda rows: (torch.zeros(5, 3), torch.zeros(4))),
            "batch 0 of the loader has 5 rows and 4 targets$",
        ),
        (
            DataLoader(Items(lambda row: (torch.zeros(3), torch.tensor(0))), batch_size=None),
            "batch 0 of the loader has 3 rows and no list of targets; with batch_size=None each item is a batch$",
        ),
        (DataLoader(Items(lambda row: row), 5, collate_fn=lambda rows: torch.tensor(0.0)), "samples first"),
        (DataLoader(Once(), 5), "the loader yields"),
    ],
)
def test_what_a_loader_does_wrong_is_one_line(data, message):
    with pytest.raises(nfa.InputError, match=message) as caught:
        nfa.audit(nn.Linear(3, 2), data)
    assert str(caught.value).isprintable()


WORKER_THAT_DIES = """
import os, torch
from nfa import InputError
from nfa.data import as_samples
from torch.utils.data import DataLoader, Dataset

class Rows(Dataset):
    def __len__(self):
        return 40

    def __getitem__(self, row):
        if row == 9:
            os._exit(3)
        return torch.zeros(3)

try:
    for batch in as_samples(DataLoader(Rows(), 2, num_workers=1)).batches(2):
        pass
except InputError as error:
    print(error, flush=True)
os._exit(0)
"""


@pytest.mark.slow
def test_a_worker_that_dies_is_one_line():
    # In a process of its own, and not in every run: torch raises in whatever the main thread does when it hears of it.
    done = subprocess.run([sys.executable, "-c", WORKER_THAT_DIES], capture_output=True, text=True, timeout=300)
    assert re.match(r"data: the loader fails at batch \d: \w+Error: .", done.stdout), done


def test_a_loader_that_shuffles(inputs):
    A, _ = inputs
    y = torch.arange(60) % 2
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(10, 8), nn.ReLU(), nn.Linear(8, 2)).double()
    shuffled, plain = (DataLoader(TensorDataset(A, y), 7, shuffle=shuffle) for shuffle in (True, False))
    np.testing.assert_allclose(nfa.audit(net, shuffled).to_frame().cosine, nfa.audit(net, plain).to_frame().cosine)
    assert nfa.audit(net, shuffled).score == nfa.audit(net, plain).score
    with pytest.raises(nfa.InputError, match="the loader brings other samples in each pass, or another order"):
        nfa.substitute(net, shuffled, alpha=0.5, draws=1)
    expected = nfa.substitute(net, (A, y), alpha=0.5, draws=1).to_frame()
    got = nfa.substitute(net, plain, alpha=0.5, draws=1).to_frame()
    np.testing.assert_allclose(got.score, expected.score)
