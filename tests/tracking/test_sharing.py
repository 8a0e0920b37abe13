"""Adapters under two processes (gloo): each audits on every process, logs the same numbers, and none waits forever."""

import importlib.util
import os
import socket
import warnings

import pytest
import torch
import torch.multiprocessing as mp
from helpers import Labelled, gaussian
from torch import distributed, nn
from torch.utils.data import DataLoader, TensorDataset

SIZE = 2
X, Y = gaussian(40, 6, dtype=torch.float32), torch.arange(40) % 3


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.body = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3))

    def forward(self, x, labels=None):
        logits = self.body(x)
        return {"logits": logits} | ({} if labels is None else {"loss": nn.functional.cross_entropy(logits, labels)})


def by_lightning(rank, folder):
    """Return what Lightning logs of the tracker, and the tracker's table."""
    import lightning.pytorch as pl
    from lightning.fabric.plugins.environments import LightningEnvironment

    from nfa.tracking.lightning import TrackerCallback

    class Started(LightningEnvironment):
        """The processes are there already, so that Lightning starts none."""

        creates_processes_externally = True

    class Module(pl.LightningModule):
        def __init__(self):
            super().__init__()
            self.net = Net()

        def forward(self, x):
            return self.net.body(x)

        def training_step(self, batch, index):
            return nn.functional.cross_entropy(self(batch[0]), batch[1])

        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), 0.1)

    callback = TrackerCallback((X, Y), folder=folder / "lightning")
    trainer = pl.Trainer(
        max_epochs=2,
        accelerator="cpu",
        devices=SIZE,
        strategy="ddp",
        plugins=[Started()],
        default_root_dir=folder,
        callbacks=[callback],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(Module(), DataLoader(TensorDataset(X, Y), batch_size=10))
    logged = {name: float(value) for name, value in trainer.callback_metrics.items() if name.startswith("nfa/")}
    return logged, callback.tracker.to_frame()


def by_skorch(rank, folder):
    """Return what skorch's history holds of the tracker, and the tracker's table."""
    import skorch

    from nfa.tracking.skorch import TrackerCallback

    class Divided(skorch.NeuralNetClassifier):
        def initialize_module(self):
            super().initialize_module()
            self.module_ = nn.parallel.DistributedDataParallel(self.module_)
            return self

    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3))
    callback = TrackerCallback((X, Y), folder=folder / "skorch")
    options = {"max_epochs": 2, "batch_size": 5, "verbose": 0, "train_split": None, "callbacks": [("nfa", callback)]}
    net = Divided(module, criterion=nn.CrossEntropyLoss, **options)
    net.fit(X[rank::SIZE].numpy(), Y[rank::SIZE].numpy())
    logged = {name: value for name, value in net.history[-1].items() if name.startswith("nfa/")}
    return logged, callback.tracker_.to_frame()


def by_transformers(rank, folder):
    """Return what the Trainer has logged of the tracker, and the tracker's table."""
    import transformers

    from nfa.tracking.transformers import TrackerCallback

    arguments = transformers.TrainingArguments(
        output_dir=str(folder / "out"),
        num_train_epochs=2,
        per_device_train_batch_size=5,
        save_strategy="no",
        report_to=[],
        use_cpu=True,
        ddp_backend="gloo",
        disable_tqdm=True,
    )
    callback = TrackerCallback(({"x": X}, Y), head="logits", folder=folder / "transformers")
    trainer = transformers.Trainer(Net(), arguments, train_dataset=Labelled(X, Y), callbacks=[callback])
    callback.set_trainer(trainer)
    trainer.train()
    found = [each for each in trainer.state.log_history if any(name.startswith("nfa/") for name in each)]
    return {name: value for name, value in found[-1].items() if name.startswith("nfa/")}, callback.tracker.to_frame()


ADAPTERS = {"lightning": by_lightning, "skorch": by_skorch, "transformers": by_transformers}


def work(rank, folder, name):
    """What each process does; its findings are a file."""
    os.environ |= {
        "GLOO_SOCKET_IFNAME": "lo",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": (folder / "port").read_text(),
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "WORLD_SIZE": str(SIZE),
        "NODE_RANK": "0",
    }
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    if name == "skorch":  # which starts no group of its own
        distributed.init_process_group("gloo", f"file://{folder}/store", rank=rank, world_size=SIZE)
    logged, frame = ADAPTERS[name](rank, folder)
    torch.save((logged, frame.drop(columns="seconds", errors="ignore").to_dict("list")), folder / f"{rank}.pt")


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


@pytest.mark.parametrize("name", ADAPTERS)
def test_every_process_audits_and_logs_the_same(name, tmp_path):
    if importlib.util.find_spec(name) is None or (
        name == "transformers" and not importlib.util.find_spec("accelerate")
    ):
        pytest.skip(f"{name} is not installed")
    (tmp_path / "port").write_text(str(free_port()))
    processes = mp.spawn(work, (tmp_path, name), SIZE, join=False)
    try:
        # Each call waits for one process, or for the time.
        assert processes.join(timeout=240) or processes.join(timeout=240), "the processes wait for each other"
    finally:
        for process in processes.processes:
            process.kill()
    (logged, frame), (other, other_frame) = (torch.load(tmp_path / f"{rank}.pt", weights_only=False) for rank in (0, 1))
    assert logged == other
    assert {key.rsplit("/", 1)[-1] for key in logged} >= {"cosine", "rotated_cosine", "init_cosine", "score"}
    assert frame["epoch"] == other_frame["epoch"]
    assert set(frame["epoch"]) == {1, 2}
    assert frame["cosine"] == pytest.approx(other_frame["cosine"], rel=1e-12, nan_ok=True)
    assert (tmp_path / name / "tracker.safetensors").exists()
