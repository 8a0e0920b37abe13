"""The adapter to skorch, against the library itself."""

import pytest
import torch
from helpers import gaussian
from torch import nn

from nfa.common import InputError

skorch = pytest.importorskip("skorch")

X, Y = gaussian(60, 6, dtype=torch.float32).numpy(), (torch.arange(60) % 3).numpy()


def classifier(**options):
    from nfa.tracking.skorch import TrackerCallback

    torch.manual_seed(0)
    callback = TrackerCallback(**options)
    module = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3))
    net = skorch.NeuralNetClassifier(
        module, criterion=nn.CrossEntropyLoss, max_epochs=3, batch_size=20, verbose=0, train_split=None
    )
    return net.set_params(callbacks=[("nfa", callback)]), callback


def test_the_history_holds_what_the_tracker_found():
    net, callback = classifier(every_n_epochs=2)
    net.fit(X, Y)
    frame = callback.tracker_.to_frame()
    assert frame["epoch"].tolist() == [2] * 3
    assert net.history[1]["nfa/0/cosine"] == frame[frame["name"] == "0"]["cosine"].item()
    assert "nfa/0/cosine" not in net.history[0]
    assert frame["train_loss"][0] == net.history[1]["train_loss"]


def test_the_init_is_taken_once_also_after_partial_fit(tmp_path):
    net, callback = classifier(folder=tmp_path)
    net.fit(X, Y)
    first, tracker = net.history[-1]["nfa/0/init_cosine"], callback.tracker_
    net.partial_fit(X, Y)
    assert callback.tracker_ is tracker
    assert net.history[-1]["nfa/0/init_cosine"] < first < 1
    assert tracker.to_frame()["epoch"].unique().tolist() == [1, 2, 3, 4, 5, 6]
    assert (tmp_path / "tracker.safetensors").exists()
    net.fit(X, Y)
    assert callback.tracker_ is not tracker


@pytest.mark.parametrize(("options", "when"), [({}, [1, 2, 3, 4, 5, 6]), ({"every_n_steps": 2}, list(range(2, 19, 2)))])
def test_a_training_that_goes_on_elsewhere_has_the_audits_and_the_init_of_the_first(tmp_path, options, when):
    first, whole = classifier(folder=tmp_path / "run", **options)
    first.fit(X, Y)
    files = {f"f_{name}": tmp_path / name for name in ("params", "optimizer", "history")}
    first.save_params(**files)
    other, callback = classifier(folder=tmp_path / "run", **options)
    with torch.no_grad():
        other.module[0].weight.add_(1.0)  # another process draws another init
    other.initialize().load_params(**files)
    other.partial_fit(X, Y)
    first.partial_fit(X, Y)
    frame, expected = callback.tracker_.to_frame(), whole.tracker_.to_frame()
    counted = "step" if options else "epoch"
    assert frame[counted].unique().tolist() == when
    later = frame.loc[frame["name"] == "0", "init_cosine"].to_numpy(dtype=float)
    assert later == pytest.approx(expected.loc[expected["name"] == "0", "init_cosine"].to_numpy(dtype=float))


def test_a_net_that_is_watched_learns_the_same():
    net, _ = classifier()
    plain = classifier()[0].set_params(callbacks=None)
    for each in (net, plain):
        torch.manual_seed(1)
        each.fit(X, Y)
    for one, other in zip(net.module_.parameters(), plain.module_.parameters(), strict=True):
        assert torch.equal(one, other)


def test_steps_are_counted_in_batches():
    net, callback = classifier(every_n_steps=4)
    net.fit(X, Y)
    assert callback.tracker_.to_frame()["step"].unique().tolist() == [4, 8]
    assert "nfa/0/cosine" in net.history[1]


def test_bad_options_are_one_line_when_training_starts():
    with pytest.raises(InputError, match="columns: 'cosin' is unknown"):
        classifier(columns=["cosin"])[0].fit(X, Y)
