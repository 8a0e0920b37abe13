"""The adapter to Lightning, against the library itself."""

import warnings

import pytest
import torch
from helpers import gaussian
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from nfa.tracking import History

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    pl = pytest.importorskip("lightning.pytorch")

pytestmark = pytest.mark.filterwarnings("ignore")

X, Y = gaussian(40, 6, dtype=torch.float32), torch.arange(40) % 3


def fitted(folder, callback, epochs=3, start=None):
    class Net(pl.LightningModule):
        def __init__(self):
            super().__init__()
            self.body = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Dropout(), nn.Linear(8, 3))

        def forward(self, x):
            return self.body(x)

        def training_step(self, batch, index):
            loss = nn.functional.cross_entropy(self(batch[0]), batch[1])
            self.log("train_loss", loss, on_step=False, on_epoch=True)
            return loss

        def configure_optimizers(self):
            return torch.optim.Adam(self.parameters(), 0.01)

    pl.seed_everything(0, verbose=False)
    net = Net()
    options = {"enable_progress_bar": False, "enable_model_summary": False, "accelerator": "cpu", "logger": False}
    trainer = pl.Trainer(
        max_epochs=epochs, default_root_dir=folder, callbacks=[] if callback is None else [callback], **options
    )
    trainer.fit(net, DataLoader(TensorDataset(X, Y), batch_size=10, shuffle=True), ckpt_path=start)
    trainer.save_checkpoint(folder / "last.ckpt")
    return net, trainer


def watching(**options):
    from nfa.tracking.lightning import TrackerCallback

    return TrackerCallback((X, Y), **options)


def test_metrics_hold_what_the_tracker_found_and_training_is_the_same(tmp_path):
    callback = watching()
    net, trainer = fitted(tmp_path, callback)
    frame = callback.tracker.to_frame()
    assert frame["epoch"].unique().tolist() == [1, 2, 3]
    assert frame["step"].unique().tolist() == [4, 8, 12]
    last = frame[(frame["epoch"] == 3) & (frame["name"] == "body.0")]
    assert float(trainer.callback_metrics["nfa/body.0/cosine"]) == pytest.approx(last["cosine"].item(), rel=1e-6)
    assert last["init_cosine"].item() < 1
    assert frame["train_loss"].notna().sum() == 3
    plain, _ = fitted(tmp_path, None)
    for one, other in zip(net.parameters(), plain.parameters(), strict=True):
        assert torch.equal(one, other)


def test_steps_can_be_counted(tmp_path):
    callback = watching(every_n_steps=5)
    fitted(tmp_path, callback)
    assert callback.tracker.to_frame()["step"].unique().tolist() == [5, 10]


def test_a_fit_from_a_checkpoint_goes_on(tmp_path):
    fitted(tmp_path, watching(folder=tmp_path), epochs=2)
    first = History.load(tmp_path).to_frame()
    callback = watching(folder=tmp_path)
    fitted(tmp_path, callback, epochs=4, start=tmp_path / "last.ckpt")
    frame = callback.tracker.to_frame()
    assert frame["epoch"].unique().tolist() == [1, 2, 3, 4]
    assert frame["cosine"][: len(first)].equals(first["cosine"])
    assert (frame["init_cosine"].dropna() < 1).all()
