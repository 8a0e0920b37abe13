"""Train a fully connected network, reproducibly and resumably."""

import copy
import hashlib
import os
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nfa.common.checks import number, one_of, positive
from nfa.common.errors import InputError
from nfa.common.progress import progress
from nfa.common.writing import alone
from nfa.data.dataset import Dataset
from nfa.data.labels import Answers, read_targets
from nfa.data.targets import IGNORED
from nfa.network.checkpoint import read_checkpoint, write_checkpoint
from nfa.network.examinable import copied
from nfa.network.forward import Forward
from nfa.network.scoring import Score, score

if TYPE_CHECKING:
    import pandas as pd

OPTIMIZERS: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "sgd": torch.optim.SGD,
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
}

LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "mse": F.mse_loss,
    "onehot_mse": F.mse_loss,
    "cross_entropy": F.cross_entropy,
}

KEEP = ("last", "best")


def mean_loss(loss: str) -> Callable[[Tensor, Tensor], Tensor]:
    """Return the function of outputs f (n x c) and targets y that training minimises (without weight decay).

    Args:
        loss: "mse" (y real), "onehot_mse" or "cross_entropy" (y class numbers; for one output, a logit, the
            binary cross-entropy).

    Raises:
        InputError: when called, more classes than outputs, or for "mse" one number for several outputs.

    >>> float(mean_loss("onehot_mse")(torch.tensor([[1.0, 0.0]]), torch.tensor([1])))
    1.0
    """
    one_of("loss", loss, LOSSES)

    def value(f: Tensor, y: Tensor) -> Tensor:
        if y.ndim == 2 and not y.is_floating_point() and f.shape[1] % y.shape[1] == 0:
            # Labels n x T of outputs n x T x c, which come as one row for each sample.
            f, y = f.reshape(y.numel(), -1), y.flatten()
            f, y = f[y != IGNORED], y[y != IGNORED]
        binary = loss == "cross_entropy" and f.shape[1] == 1
        most = Answers(f.shape[1]).n_classes if binary else f.shape[1]
        if loss != "mse" and (y.is_floating_point() or int(y.max()) >= most):
            raise InputError("loss", f"{loss} needs class numbers below the number of outputs, {f.shape[1]}")
        if binary:
            return F.binary_cross_entropy_with_logits(f[:, 0], y.to(f.dtype))
        if loss == "onehot_mse":
            y = F.one_hot(y, f.shape[1])
        if y.numel() != f.numel() and loss == "mse":
            raise InputError(
                "loss", f"mse needs a number for each of the {f.shape[1]} outputs; onehot_mse fits class numbers"
            )
        if loss != "cross_entropy":
            y = y.to(f.dtype).reshape(f.shape)
        return LOSSES[loss](f, y)

    return value


@dataclass(frozen=True, eq=False)
class Training:
    """A trained network, the same network before training, and how it went.

    Args:
        net: The network handed in, now trained.
        init: A copy of it as it was before training.
        history: A row per epoch: epoch (1-based), train_loss (mean over the epoch's batches), the score
            on train and, where there are such rows, val, and seconds.
        settings: The arguments that made it, as JSON types.
    """

    net: nn.Module
    init: nn.Module
    history: "pd.DataFrame"
    settings: dict[str, Any]


def train(
    net: nn.Module,
    data: Dataset,
    *,
    loss: str = "onehot_mse",
    optimizer: str = "adam",
    lr: float = 1e-3,
    epochs: int = 100,
    batch_size: int = 128,
    weight_decay: float = 0.0,
    seed: int = 0,
    keep: str = "last",
    checkpoint: str | os.PathLike[str] | None = None,
    after_epoch: Callable[[dict[str, float]], object] | None = None,
) -> Training:
    """Train a network on the "train" rows of a data set (on all rows where it is not divided).

    Args:
        net: Any module that takes rows n x d and returns n x c; trained in place.
        data: Inputs as the network shall see them (scaling is the caller's), and targets.
        loss: "mse" (real targets), "onehot_mse" (the paper's: MSE against one-hot classes) or "cross_entropy".
        optimizer: "sgd", "adam" or "adamw".
        lr: Step size.
        epochs: Passes over the rows.
        batch_size: Rows in a mini-batch.
        weight_decay: As the torch optimizer understands it.
        seed: The order of the rows in epoch e is a function of this number and e.
        keep: "last" weights, or those that were "best" on the val rows (the first epoch of the best score).
        checkpoint: A file written after every epoch; when it exists and was made by the same call, training
            continues from there, and ends in the same weights as if it had never stopped. A larger
            `epochs` is the same call.
        after_epoch: Called with each epoch's row of the history, before the checkpoint is written.

    Raises:
        InputError: no targets, targets that do not fit loss or outputs, an unknown name, keep="best"
            without val rows, a checkpoint that is damaged, of another call, or that another run is writing, or a loss
            that is no longer finite.
    """
    import pandas as pd

    one_of("loss", loss, LOSSES)
    one_of("optimizer", optimizer, OPTIMIZERS)
    one_of("keep", keep, KEEP)
    positive("epochs", epochs)
    positive("batch_size", batch_size)
    positive("seed", seed, least=0)
    number("lr", lr, above_zero=True)
    number("weight_decay", weight_decay)
    if loss == "mse" and data.is_classification:
        data = data.with_real_targets()
    rows = data.part("train") if data.split else data
    validation = data.part("val") if "val" in data.split else None
    if keep == "best" and validation is None:
        raise InputError("keep", "'best' needs val rows in the data's split")
    parameter = next(net.parameters())
    X = torch.from_numpy(rows.X).to(parameter.device, parameter.dtype)
    y = _targets(rows, loss, net, X[:1])
    settings = {
        "loss": loss,
        "optimizer": optimizer,
        "lr": lr,
        "batch_size": batch_size,
        "weight_decay": weight_decay,
        "seed": seed,
        "keep": keep,
        "data": data.name,
        "n_train": len(X),
        "data_sha256": hashlib.sha256(rows.X.tobytes() + np.asarray(rows.y).tobytes()).hexdigest(),
        "network": str(getattr(net, "architecture", net)),
    }
    run = _Run(net, OPTIMIZERS[optimizer](net.parameters(), lr=lr, weight_decay=weight_decay), settings)
    path = None if checkpoint is None else Path(checkpoint)
    with nullcontext() if path is None else alone("checkpoint", path):
        if path is not None and path.exists():
            run.resume(path, epochs)
        with progress("training", epochs - len(run.history)) as advance:
            for epoch in range(len(run.history) + 1, epochs + 1):
                started = time.perf_counter()
                order = torch.from_numpy(np.random.default_rng([seed, epoch]).permutation(len(X)))
                # What the network itself draws (dropout) follows from the seed too, and disturbs nobody else's draws.
                with torch.random.fork_rng():
                    torch.manual_seed(seed * 1_000_003 + epoch)
                    value = run.epoch(X, y, order.to(X.device).split(batch_size), mean_loss(loss))
                run.record(epoch, value, rows, validation, time.perf_counter() - started)
                if after_epoch is not None:
                    after_epoch(dict(run.history[-1]))
                if path is not None:
                    run.save(path)
                advance(1)
    if keep == "best":
        net.load_state_dict(run.best)
    return Training(net, run.init, pd.DataFrame(run.history), settings | {"epochs": epochs})


def _targets(rows: Dataset, loss: str, net: nn.Module, example: Tensor) -> Tensor:
    """Return the targets as `mean_loss` takes them, after checking that they fit it and the outputs."""
    if rows.y is None:
        raise InputError("data", f"{rows.name} has no targets to train on; name the target column")
    net.eval()
    with torch.no_grad():
        c = net(example.clone()).reshape(1, -1).shape[1]
    y = torch.from_numpy(rows.y).to(example.device)
    if loss == "mse":
        if (targets := y.reshape(len(y), -1).shape[1]) != c:
            raise InputError("data", f"{targets} targets, but the network has {c} outputs")
        return y
    if not rows.is_classification:
        raise InputError("loss", f"{loss} needs classes, but {rows.name} has real targets; use mse")
    # One output of a binary cross-entropy tells two classes apart.
    answers = Answers(c)
    if rows.n_outputs > (answers.n_classes if loss == "cross_entropy" else c):
        raise InputError("data", f"{rows.n_outputs} classes, but the network has {c} outputs")
    return torch.from_numpy(read_targets(rows.y, answers).encoded()).to(example.device)


class _Run:
    """The state of a training that a checkpoint holds, and one epoch of it."""

    def __init__(self, net: nn.Module, optimizer: torch.optim.Optimizer, settings: dict[str, Any]) -> None:
        self.net, self.optimizer, self.settings = net, optimizer, settings
        self.init = copied(net)
        self.history: list[dict[str, float]] = []
        self.best: dict[str, Any] = {}

    def epoch(
        self, X: Tensor, y: Tensor, batches: tuple[Tensor, ...], loss: Callable[[Tensor, Tensor], Tensor]
    ) -> float:
        self.net.train()
        total = 0.0
        for batch in batches:
            self.optimizer.zero_grad(set_to_none=True)
            value = loss(self.net(X[batch]), y[batch])
            value.backward()
            self.optimizer.step()
            total += float(value.detach()) * len(batch)
        self.net.eval()
        self.optimizer.zero_grad(set_to_none=True)
        if not total < float("inf"):
            raise InputError(
                "lr", f"the loss is {total / len(X)} after epoch {len(self.history) + 1}; use a smaller step"
            )
        return total / len(X)

    def record(self, epoch: int, loss: float, rows: Dataset, validation: Dataset | None, seconds: float) -> None:
        row = {"epoch": epoch, "train_loss": loss, "train_score": _value(score(Forward(self.net), rows, "train"))}
        if validation is not None:
            row["val_score"] = _value(score(Forward(self.net), validation, "val"))
            if not self.best or row["val_score"] > max(past["val_score"] for past in self.history):
                self.best = copy.deepcopy(self.net.state_dict())
        self.history.append(row | {"seconds": seconds})

    def save(self, path: Path) -> None:
        state = {
            "settings": self.settings,
            "history": self.history,
            "net": self.net.state_dict(),
            "init": self.init.state_dict(),
            "best": self.best,
            "optimizer": self.optimizer.state_dict(),
        }
        write_checkpoint(path, state)

    def resume(self, path: Path, epochs: int) -> None:
        state = read_checkpoint(path)
        settings, history, initial = state["settings"], state["history"], state["init"]
        for key, value in self.settings.items():
            if settings.get(key) != value:
                raise InputError(
                    "checkpoint",
                    f"{path} was made with {key} {settings.get(key)!r}, this call has {value!r}; "
                    "delete it to start again",
                )
        if len(history) > epochs:
            raise InputError("epochs", f"{path} has already {len(history)} epochs, more than the {epochs} asked for")
        own = {key: value.cpu() for key, value in self.init.state_dict().items()}
        if initial.keys() != own.keys() or not all(torch.equal(initial[key], value) for key, value in own.items()):
            raise InputError("checkpoint", f"{path} began from another network; delete it to start again")
        self.history = history
        self.best = state["best"]
        self.net.load_state_dict(state["net"])
        self.optimizer.load_state_dict(state["optimizer"])


def _value(result: Score | None) -> float:
    return float("nan") if result is None else result.value
