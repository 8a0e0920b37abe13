"""The adapter to transformers' Trainer, against the library itself."""

import warnings

import pytest
import torch
from helpers import Labelled, gaussian
from torch import nn

from nfa.common import InputError
from nfa.tracking import History

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    transformers = pytest.importorskip("transformers")
    pytest.importorskip("accelerate")

pytestmark = pytest.mark.filterwarnings("ignore")

X, Y = gaussian(40, 6, dtype=torch.float32), torch.arange(40) % 3


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Dropout(), nn.Linear(8, 3))

    def forward(self, x, labels=None):
        logits = self.body(x)
        return {"logits": logits} | ({} if labels is None else {"loss": nn.functional.cross_entropy(logits, labels)})


def trainer_of(folder, callback, epochs=3):
    torch.manual_seed(0)
    arguments = transformers.TrainingArguments(
        output_dir=str(folder / "out"),
        num_train_epochs=epochs,
        per_device_train_batch_size=10,
        learning_rate=0.01,
        logging_strategy="epoch",
        save_strategy="epoch",
        report_to=[],
        use_cpu=True,
        disable_tqdm=True,
    )
    callbacks = [] if callback is None else [callback]
    return transformers.Trainer(model=Net(), args=arguments, train_dataset=Labelled(X, Y), callbacks=callbacks)


def watching(**options):
    from nfa.tracking.transformers import TrackerCallback

    return TrackerCallback(({"x": X}, Y), head="logits", **options)


def trained(folder, callback, epochs=3, **options):
    trainer = trainer_of(folder, callback, epochs)
    if callback is not None:
        callback.set_trainer(trainer)
    trainer.train(**options)
    return trainer


def test_the_log_holds_what_the_tracker_found_and_training_is_the_same(tmp_path):
    callback = watching()
    trainer = trained(tmp_path, callback)
    frame = callback.tracker.to_frame()
    assert frame["epoch"].unique().tolist() == [1, 2, 3]
    assert frame["step"].unique().tolist() == [4, 8, 12]
    logged = [each["nfa/body.0/cosine"] for each in trainer.state.log_history if "nfa/body.0/cosine" in each]
    assert logged == frame[frame["name"] == "body.0"]["cosine"].tolist()
    plain = trained(tmp_path, None)
    for one, other in zip(trainer.model.parameters(), plain.model.parameters(), strict=True):
        assert torch.equal(one, other)


def test_steps_can_be_counted(tmp_path):
    callback = watching(every_n_steps=5)
    trained(tmp_path, callback)
    assert callback.tracker.to_frame()["step"].unique().tolist() == [5, 10]


def test_training_from_a_checkpoint_goes_on(tmp_path):
    trained(tmp_path, watching(folder=tmp_path), epochs=2)
    first = History.load(tmp_path).to_frame()
    callback = watching(folder=tmp_path)
    trained(tmp_path, callback, epochs=4, resume_from_checkpoint=True)
    frame = callback.tracker.to_frame()
    assert frame["epoch"].unique().tolist() == [1, 2, 3, 4]
    assert frame["cosine"][: len(first)].equals(first["cosine"])
    assert (frame["init_cosine"].dropna() < 1).all()


def test_without_its_trainer_the_callback_says_so(tmp_path):
    with pytest.raises(InputError, match=r"trainer: unknown: call set_trainer\(trainer\)"):
        trainer_of(tmp_path, watching()).train()
