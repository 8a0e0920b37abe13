"""How the networks of `analyses.ansatz_sweep` are trained: as ever, one layer alone, or in full batches to rest."""

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch

from analyses.analysis import Cell
from analyses.setting import trained, untrained
from nfa.data import Dataset
from nfa.network import MLP
from nfa.network.training import mean_loss

ALMOST_0 = 1e-6
"""Of its initialisation, from which one layer is trained alone."""


def stages(data: Dataset, cell: Cell, between: Sequence[int] = ()) -> Iterator[tuple[int, MLP]]:
    """Yield a cell's network with the number of epochs behind it: 0, those in between, the last.

    Args:
        data: Rows scaled as the network shall see them.
        cell: The settings; `momentum` above 0 means full batches, `alone` the one layer that is trained.
        between: Numbers of epochs, rising; those of a cell that trains for no longer are left out.
    """
    yield 0, network_of(data, cell)
    epochs = [*(epoch for epoch in between if epoch < cell["epochs"]), cell["epochs"]]
    if cell["momentum"]:
        yield from _full_batches(data, cell, epochs)
        return
    with tempfile.TemporaryDirectory() as folder:
        # Each goes on where the one before stopped.
        checkpoint = Path(folder) / "training.pt" if len(epochs) > 1 else None
        for epoch in epochs:
            net = trained(data, {**cell, "epochs": epoch}, net=network_of(data, cell), checkpoint=checkpoint).net
            assert isinstance(net, MLP)
            yield epoch, net


def network_of(data: Dataset, cell: Cell) -> MLP:
    """Return the network before training; where one layer is trained alone it is almost 0, and the others frozen."""
    net = untrained(data, cell)
    if cell["alone"] is not None:
        for number, layer in enumerate(net.layers):
            layer.requires_grad_(number == cell["alone"])
        with torch.no_grad():
            next(net.layers[cell["alone"]].parameters()).mul_(ALMOST_0)
    return net


def _full_batches(data: Dataset, cell: Cell, epochs: Sequence[int]) -> Iterator[tuple[int, MLP]]:
    rows, net, loss = data.part("train"), network_of(data, cell), mean_loss(cell["loss"])
    assert rows.y is not None
    assert cell["batch_size"] >= rows.n
    X, y = torch.from_numpy(rows.X), torch.from_numpy(rows.y)
    settings = {name: cell[name] for name in ("lr", "momentum", "weight_decay")}
    optimizer = torch.optim.SGD(net.parameters(), **settings)
    for step in range(1, epochs[-1] + 1):
        optimizer.zero_grad()
        loss(net(X), y).backward()
        optimizer.step()
        if step in epochs:
            optimizer.zero_grad()
            yield step, net
