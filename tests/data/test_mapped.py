"""Memory-mapped arrays: audited as those in memory, and never copied whole."""

import tracemalloc

import numpy as np
import pytest
import torch
from helpers import assert_same_table, gaussian
from torch import nn

import nfa
from nfa.common import InputError
from nfa.data import Dataset, Scaling, as_samples, stream
from nfa.data.mapped import MappedRows, is_mapped
from nfa.network import MLP
from nfa.network.model import Model

ROWS = 20_000
FORMS = {
    "float32": np.float32,
    "float64": np.float64,
    "bytes": np.uint8,
    "whole numbers": np.int32,
    "another byte order": np.dtype(">f4"),
}


def written(folder, X, order="C"):
    """The array in a file, mapped read-only."""
    path = folder / "X.npy"
    np.save(path, np.asarray(X, order=order))
    return np.load(path, mmap_mode="r")


@pytest.fixture
def X():
    return (3 * gaussian(95, 6).numpy()).round().astype(np.float32)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("order", ["C", "F"])
def test_a_mapped_array_is_audited_as_one_in_memory(tmp_path, X, form, order):
    net, X = nfa.MLP(6, 8, 1, 3).double(), abs(X).astype(FORMS[form])
    y = torch.arange(95) % 3
    expected = nfa.audit(net, (X, y), batch_size=20)
    found = nfa.audit(net, (written(tmp_path, X, order), y), batch_size=20)
    assert_same_table(found, expected, tolerance=1e-9)
    assert found.about.score == expected.about.score


@pytest.mark.parametrize("wrapped", ["alone", "view", "data set", "named"])
def test_it_is_never_copied_whole(tmp_path, wrapped):
    """tracemalloc sees all memory of numpy's, from which torch's tensors over arrays have theirs."""
    X = written(tmp_path, np.ones((ROWS, 64), np.float32 if wrapped in ("data set", "named") else np.uint8))
    net, whole = nn.Linear(64, 2), X.size
    data = {"alone": X, "view": X[5:].reshape(-1, 64), "named": {"input": X}}.get(wrapped)
    data = Dataset(X) if data is None else data
    tracemalloc.start()
    try:
        nfa.audit(net, data, columns=["cosine"], batch_size=100)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < whole / 2


def test_batches_come_in_the_files_order_and_sorted_by_group(tmp_path, X):
    samples = as_samples((written(tmp_path, X), torch.arange(95)))
    batches = list(samples.batches(30))
    assert [sorted(batch.samples.tolist()) for batch in batches] == [
        [*range(30)], [*range(30, 60)], [*range(60, 90)], [*range(90, 95)]
    ]  # fmt: skip
    for batch in batches:
        assert torch.equal(batch.x, torch.from_numpy(X)[batch.samples])
        assert torch.equal(batch.y, batch.samples)
        assert (batch.samples % 10).tolist() == sorted((batch.samples % 10).tolist())


def test_several_inputs_may_be_mapped(tmp_path, X):
    class Sum(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = nn.Linear(6, 2)

        def forward(self, a, b):
            return self.linear(a + b)

    net, b = Sum(), torch.from_numpy(X)
    expected = nfa.audit(net, ((b, b), None))
    found = nfa.audit(net, ((written(tmp_path, X), b), None))
    assert_same_table(found, expected)


def test_a_loaded_networks_scaling_is_applied_to_what_is_read(tmp_path, X):
    scaling = Scaling.fit("standard", X)
    model = Model(MLP(6, 8, 1, 3), "net", scaling=scaling)
    expected, found = nfa.audit(model, X), nfa.audit(model, written(tmp_path, X))
    assert found.about.notes == expected.about.notes
    for layer, other in zip(found, expected, strict=True):
        assert layer["cosine"] == pytest.approx(other["cosine"], rel=1e-5)


def test_samples_are_drawn_from_it(tmp_path, X):
    net = nn.Linear(6, 2)
    for data in (written(tmp_path, X), stream(tmp_path / "X.npy")):
        found = nfa.audit(net, data, samples=20)
        assert found.about.n_samples == 20
        assert_same_table(found, nfa.audit(net, X, samples=20))


def test_an_entry_that_is_not_finite_is_named_by_its_row(tmp_path, X):
    X[70, 4] = np.nan
    with pytest.raises(InputError, match=r"^data: nan at row 70, column 4; every entry must be finite$"):
        nfa.audit(nn.Linear(6, 2), written(tmp_path, X), batch_size=20)


@pytest.mark.parametrize(
    ("array", "problem"),
    [
        (np.ones(5), r"data: shape \(5,\), expected \(samples, features\)"),
        (np.array([["a", "b"]]), "data: holds <U1, expected numbers"),
        (np.ones((3, 2), complex), "data: holds complex128, expected numbers"),
    ],
)
def test_what_is_no_table_of_numbers_is_refused(tmp_path, array, problem):
    with pytest.raises(InputError, match=problem):
        nfa.audit(nn.Linear(2, 2), written(tmp_path, array))


def test_sizes_that_differ_are_refused(tmp_path, X):
    with pytest.raises(InputError, match=r"^data: X has 95 rows, y has 3$"):
        nfa.audit(nn.Linear(6, 2), (written(tmp_path, X), torch.zeros(3)))
    with pytest.raises(InputError, match=r"rows; they must agree"):
        as_samples(((written(tmp_path, X), torch.zeros(3, 2)), None))


def test_what_is_mapped(tmp_path, X):
    mapped = written(tmp_path, X)
    assert is_mapped(mapped)
    assert is_mapped(mapped[3:])
    assert is_mapped(np.asarray(mapped).reshape(-1, 3))
    assert not is_mapped(mapped[[1, 2]])
    assert not is_mapped(np.asarray(mapped) + 1)
    assert len(MappedRows(mapped)) == 95
