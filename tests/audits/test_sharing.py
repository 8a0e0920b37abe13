"""Audits by two processes (gloo): the same as by one, with uneven shares and none; a process that fails ends both."""

import math
import os

import pytest
import torch
import torch.multiprocessing as mp
from helpers import assert_same_table, gaussian
from torch import distributed, nn
from torch.distributed.fsdp import fully_shard

import nfa
from nfa import InputError
from nfa.common import processes

SIZE = 2
FSDP = torch.__version__ >= "2.7"
"""Torch 2.6 cannot shard a network on the processor."""


class Head(nn.Module):
    """A language model's linear head: at each of three positions the same map, whatever the data."""

    def __init__(self):
        super().__init__()
        self.embed, self.head = nn.Linear(4, 6), nn.Linear(6, 2)

    def forward(self, x):
        return self.head(torch.tanh(self.embed(x)))


class Failing(nn.Module):
    """Fails in one process alone, once it has been found out how the network runs."""

    def __init__(self, rank):
        super().__init__()
        self.layer, self.rank = nn.Linear(4, 2), rank

    def forward(self, x):
        if len(x) > 5 and distributed.is_initialized() and distributed.get_rank() == self.rank:
            raise RuntimeError("no memory for it\nof any kind")
        return self.layer(x)


def rows(n, dtype=torch.float64):
    X = gaussian(n, 4, dtype=dtype)
    return X, (X[:, 0] > 0).long()


def network(seed=0):
    return nfa.MLP(4, [7, 5], n_outputs=2, seed=seed).double()


def head(seed=0):
    torch.manual_seed(seed)
    return Head().double()


def wide():
    """A layer that keeps up to 256 rows as they are, of which a sample has two."""
    return nfa.MLP(4, [1024], n_outputs=2).double()


def saturated():
    """Rows of which all but a few late ones have no gradient in the first layer, and a network of sigmoids."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(4, 5), nn.Sigmoid(), nn.Linear(5, 2))
    net[0].weight.data.normal_()
    net[2].weight.data.normal_()
    X = gaussian(60, 4, dtype=torch.float32)
    X[:58] *= 40 / (X[:58] @ net[0].weight.detach().T).abs().min()
    return net, X


class Shut(nn.Module):
    """The first samples have no gradient, and in one process alone the network cannot be copied."""

    def __init__(self, rank):
        super().__init__()
        torch.manual_seed(0)
        self.layer, self.head, self.rank = nn.Linear(4, 5), nn.Linear(5, 2), rank

    def forward(self, x):
        return self.head(self.layer(x).tanh()) * (x[:, :1] > -5)

    def __deepcopy__(self, memo):
        if distributed.is_initialized() and distributed.get_rank() == self.rank:
            raise RuntimeError("no memory for a copy")
        found = Shut(self.rank).to(self.head.weight)
        found.load_state_dict(self.state_dict())
        return found


def shut():
    """Rows of which the first ones have no gradient."""
    X = gaussian(60, 4)
    X[:40, 0] = -10
    return X


FEW = ["interval", "similarity", "alignment", "size"]

AUDITS = {
    "uneven": lambda: nfa.audit(network(), rows(41), network(1), loss="cross_entropy", batch_size=8),
    "published": lambda: nfa.audit(network(), rows(9), network(1), published=True, columns=["published"]),
    "probes": lambda: nfa.audit(network(), rows(23), probes=3, batch_size=8),
    "no gradient at first": lambda: nfa.audit(*saturated(), batch_size=8),
    "no copy in one process": lambda: nfa.audit(Shut(1).double(), shut(), columns=FEW, batch_size=8),
    "one sample": lambda: nfa.audit(network(), rows(1)),
    "constant": lambda: nfa.audit(head(), gaussian(21, 4).reshape(7, 3, 4), batch_size=2),
    "few rows": lambda: nfa.audit(wide(), rows(41), columns=FEW),
    "few in each process": lambda: nfa.audit(wide(), rows(170), columns=FEW),
    "stream": lambda: nfa.audit(
        network(), torch.utils.data.DataLoader(torch.utils.data.TensorDataset(*rows(17)), batch_size=3), network(1)
    ),
}
"""Audits that all processes make together."""

REFUSED = {
    "failing": (
        lambda rank: nfa.audit(Failing(1), gaussian(24, 4, dtype=torch.float32)),
        "net: process 1 failed: data: the network cannot take rows of shape (4,): no memory for it",
    ),
    "other rows": (lambda rank: nfa.audit(network(), gaussian(24, 4, seed=rank)), "data: processes 0 and 1 have other"),
    "other weights": (lambda rank: nfa.audit(network(rank), gaussian(24, 4)), "net: processes 0 and 1 have networks"),
    "no column": (
        lambda rank: nfa.audit(network(), gaussian(24, 4), layers="none" if rank else None),
        "net: process 1 failed: layers: 'none' is unknown",
    ),
}
"""What ends in all processes, and what the first one says."""


def trained(net, rank):
    """A tracker's numbers of a network that two processes train, each on its half of the rows."""
    X, y = rows(40)
    optimizer = torch.optim.SGD(net.parameters(), 0.1)
    tracker = nfa.Tracker(net, (X, y), samples=21)
    found = []
    for epoch in range(3):
        found.append(tracker.record(epoch=epoch))
        loss = nn.functional.cross_entropy(net(X[rank::SIZE]), y[rank::SIZE])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return found


def work(rank, folder):
    """What each process does; its findings are a file."""
    os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", f"file://{folder}/store", rank=rank, world_size=SIZE)
    found = {}
    for name, audit in AUDITS.items():
        audit().save(folder / f"{rank} {name}")
    for name, (call, _) in REFUSED.items():
        try:
            call(rank)
            found[name] = "nothing"
        except InputError as error:
            found[name] = str(error)
    found["DDP"] = trained(nn.parallel.DistributedDataParallel(network()), rank)
    if FSDP:
        mesh = distributed.init_device_mesh("cpu", (SIZE,))
        divided = network()
        for layer in divided.layers:
            fully_shard(layer, mesh=mesh)
        found["FSDP"] = trained(fully_shard(divided, mesh=mesh), rank)
    if rank == 0:
        processes.PATIENCE = 1.0
        try:
            nfa.audit(network(), rows(8))
        except InputError as error:
            found["alone"] = str(error)
    torch.save(found, folder / f"{rank}.pt")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("processes")
    mp.spawn(work, (place,), SIZE)
    return place


@pytest.mark.parametrize("name", AUDITS)
def test_two_processes_find_what_one_finds(folder, name):
    alone = AUDITS[name]()
    for rank in range(SIZE):
        together = nfa.Audit.load(folder / f"{rank} {name}")
        assert_same_table(together, alone, 1e-6)
        assert (together.about.n_samples, together.about.skipped) == (alone.about.n_samples, alone.about.skipped)
        for score, expected in ((together.about.score, alone.about.score),):
            assert (score is None) == (expected is None)
            if score is not None:
                assert (score.value, score.baseline, score.n) == pytest.approx(
                    (expected.value, expected.baseline, expected.n)
                )


@pytest.mark.parametrize("name", REFUSED)
def test_what_fails_in_one_process_ends_in_all_with_its_message(folder, name):
    first, second = (torch.load(folder / f"{rank}.pt")[name] for rank in range(SIZE))
    assert REFUSED[name][1] in first
    assert second != "nothing"
    assert "\n" not in first


def test_a_process_that_audits_alone_is_told_so(folder):
    said = torch.load(folder / "0.pt")["alone"]
    assert said.startswith("net: 2 processes train it together, and after 1 seconds not all of them have come")


@pytest.mark.parametrize("kind", ["DDP", *(["FSDP"] if FSDP else [])])
def test_a_tracker_finds_the_same_in_all_processes_as_in_one(folder, kind):
    first, second = (torch.load(folder / f"{rank}.pt")[kind] for rank in range(SIZE))
    assert first == second or all(_same(a, b) for a, b in zip(first, second, strict=True))
    # Both halves together are a step on all rows, as of even halves the mean of gradients is that of the whole.
    X, y = rows(40)
    net = network()
    optimizer = torch.optim.SGD(net.parameters(), 0.1)
    tracker = nfa.Tracker(net, (X, y), samples=21)
    for epoch in range(3):
        assert _same(tracker.record(epoch=epoch), first[epoch], 1e-6)
        loss = nn.functional.cross_entropy(net(X), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def _same(found, expected, tolerance=0.0):
    def close(a, b):
        return math.isclose(a, b, abs_tol=tolerance, rel_tol=tolerance) or (a != a and b != b)

    return found.keys() == expected.keys() and all(close(found[name], expected[name]) for name in found)
