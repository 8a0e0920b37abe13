"""Training: what it reaches, keeps and resumes."""

import numpy as np
import pandas as pd
import pytest
import torch
from helpers import gaussian

import nfa
from nfa.network.training import OPTIMIZERS


def blobs(n=120, classes=3):
    rng = np.random.default_rng(0)
    y = np.arange(n) % classes
    X = rng.normal(size=(n, 4)) + 3 * np.eye(classes, 4)[y]
    return nfa.Dataset(X.astype(np.float32), y, class_names=tuple("abc")).divide(test=0.25, val=0.25)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("loss", ["onehot_mse", "cross_entropy"])
def test_every_loss_and_optimizer_learns(loss, optimizer):
    lr = 0.1 if optimizer == "sgd" else 0.01
    done = nfa.train(nfa.MLP(4, 16, 2, 3), blobs(), loss=loss, optimizer=optimizer, lr=lr, epochs=40, batch_size=16)
    assert done.history["val_score"].iloc[-1] > 0.8
    assert done.history["train_loss"].iloc[-1] < done.history["train_loss"].iloc[0]
    assert list(done.history["epoch"]) == list(range(1, 41))


def test_the_network_before_training_is_kept_and_the_one_handed_in_is_trained():
    net = nfa.MLP(4, 8, 1, 3, seed=3)
    done = nfa.train(net, blobs(), epochs=2)
    assert done.net is net
    fresh = nfa.MLP(4, 8, 1, 3, seed=3)
    assert all(torch.equal(a, b) for a, b in zip(done.init.parameters(), fresh.parameters(), strict=True))
    assert not torch.equal(net.layers[0].weight, fresh.layers[0].weight)
    assert all(p.grad is None for p in net.parameters())


def test_weight_decay_and_seed_act():
    sizes = []
    for weight_decay in (0.0, 0.1):
        done = nfa.train(nfa.MLP(4, 8, 1, 3), blobs(), epochs=30, weight_decay=weight_decay)
        sizes.append(float(done.net.layers[0].weight.detach().norm()))
    assert sizes[1] < sizes[0]
    weights = [nfa.train(nfa.MLP(4, 8, 1, 3), blobs(), epochs=2, seed=s).net.layers[0].weight for s in (0, 0, 1)]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_best_keeps_the_weights_of_the_best_validation_score():
    data = blobs()
    done = nfa.train(nfa.MLP(4, 8, 1, 3), data, epochs=30, lr=0.02, batch_size=8, keep="best")
    from nfa.network import score

    assert score(done.net, data.part("val")).value == pytest.approx(done.history["val_score"].max())


@pytest.mark.parametrize("keep", ["last", "best"])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_a_resumed_training_ends_in_the_same_weights(tmp_path, optimizer, keep):
    settings = {"optimizer": optimizer, "lr": 0.01, "keep": keep, "batch_size": 16}
    whole = nfa.train(nfa.MLP(4, 8, 1, 3), blobs(), epochs=6, **settings)
    path = tmp_path / "checkpoint.pt"
    nfa.train(nfa.MLP(4, 8, 1, 3), blobs(), epochs=3, checkpoint=path, **settings)
    resumed = nfa.train(nfa.MLP(4, 8, 1, 3), blobs(), epochs=6, checkpoint=path, **settings)
    for a, b in zip(whole.net.parameters(), resumed.net.parameters(), strict=True):
        assert torch.equal(a, b)
    columns = [column for column in whole.history if column != "seconds"]
    pd.testing.assert_frame_equal(whole.history[columns], resumed.history[columns])


def test_an_interrupted_training_goes_on_from_its_last_epoch(tmp_path, monkeypatch):
    from nfa.network import training

    path, saved = tmp_path / "checkpoint.pt", training._Run.save

    def interrupt(run, where):
        saved(run, where)
        if len(run.history) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(training._Run, "save", interrupt)
    with pytest.raises(KeyboardInterrupt):
        nfa.train(nfa.MLP(4, 8, 1, 3), blobs(), epochs=4, checkpoint=path)
    monkeypatch.setattr(training._Run, "save", saved)
    resumed = nfa.train(nfa.MLP(4, 8, 1, 3), blobs(), epochs=4, checkpoint=path)
    whole = nfa.train(nfa.MLP(4, 8, 1, 3), blobs(), epochs=4)
    assert torch.equal(resumed.net.layers[1].weight, whole.net.layers[1].weight)


def test_regression_takes_one_or_many_targets():
    X = gaussian(80, 3, dtype=torch.float32).numpy()
    for y in (X[:, 0], X[:, :2]):
        c = 1 if y.ndim == 1 else 2
        done = nfa.train(nfa.MLP(3, 16, 1, c), nfa.Dataset(X, y), loss="mse", epochs=60, lr=0.01)
        assert done.history["train_score"].iloc[-1] > 0.9


def test_bad_calls(tmp_path):
    data, path = blobs(), tmp_path / "checkpoint.pt"
    X = data.X
    nfa.train(nfa.MLP(4, 8, 1, 3), data, epochs=2, checkpoint=path)
    (tmp_path / "broken.pt").write_bytes(path.read_bytes()[:200])
    (tmp_path / "empty.pt").write_bytes(b"")
    for message, call in {
        "did you mean 'adam'": lambda: nfa.train(nfa.MLP(4), data, optimizer="adamm"),
        "did you mean 'cross_entropy'": lambda: nfa.train(nfa.MLP(4), data, loss="crossentropy"),
        "no targets": lambda: nfa.train(nfa.MLP(4), nfa.Dataset(X)),
        "needs classes": lambda: nfa.train(nfa.MLP(4), nfa.Dataset(X, X[:, 0])),
        "3 classes, but the network has 2": lambda: nfa.train(nfa.MLP(4, n_outputs=2), data),
        "1 targets, but the network has 2": lambda: nfa.train(
            nfa.MLP(4, n_outputs=2), nfa.Dataset(X, X[:, 0]), loss="mse"
        ),
        "needs val rows": lambda: nfa.train(nfa.MLP(4, n_outputs=3), nfa.Dataset(X, data.y), keep="best"),
        "epochs: got 0": lambda: nfa.train(nfa.MLP(4, n_outputs=3), data, epochs=0),
        "lr: got -1, expected a number above 0": lambda: nfa.train(nfa.MLP(4, n_outputs=3), data, lr=-1),
        "made with lr 0.001, this call has 0.5": lambda: nfa.train(
            nfa.MLP(4, 8, 1, 3), data, epochs=3, lr=0.5, checkpoint=path
        ),
        "has already 2 epochs": lambda: nfa.train(nfa.MLP(4, 8, 1, 3), data, epochs=1, checkpoint=path),
        "began from another network": lambda: nfa.train(nfa.MLP(4, 8, 1, 3, seed=9), data, epochs=3, checkpoint=path),
        "broken.pt; delete it": lambda: nfa.train(
            nfa.MLP(4, 8, 1, 3), data, epochs=3, checkpoint=tmp_path / "broken.pt"
        ),
        "empty.pt; delete it": lambda: nfa.train(nfa.MLP(4, 8, 1, 3), data, epochs=3, checkpoint=tmp_path / "empty.pt"),
        "use a smaller step": lambda: nfa.train(
            nfa.MLP(4, 8, 1, 3), data, optimizer="sgd", lr=1e30, epochs=5, batch_size=8
        ),
    }.items():
        with pytest.raises(nfa.InputError, match=message) as caught:
            call()
        assert "\n" not in str(caught.value)


def test_dropout_follows_the_seed_and_leaves_the_global_state_alone():
    def once():
        torch.manual_seed(5)
        net = torch.nn.Sequential(nfa.MLP(4, 8, 1, 8), torch.nn.Dropout(0.5), nfa.MLP(8, 8, 0, 3))
        state = torch.random.get_rng_state()
        nfa.train(net, blobs(), epochs=2)
        assert torch.equal(torch.random.get_rng_state(), state)
        return net[0].layers[0].weight

    one = once()
    torch.rand(3)
    assert torch.equal(one, once())


def test_other_data_or_another_network_is_another_training(tmp_path):
    path, data = tmp_path / "checkpoint.pt", blobs()
    nfa.train(nfa.MLP(4, 8, 1, 3), data, epochs=1, checkpoint=path)
    other = nfa.Dataset(data.X + 1, data.y, name=data.name, split=data.split)
    with pytest.raises(nfa.InputError, match="data_sha256"):
        nfa.train(nfa.MLP(4, 8, 1, 3), other, epochs=2, checkpoint=path)
    with pytest.raises(nfa.InputError, match="network"):
        nfa.train(nfa.MLP(4, 8, 1, 3, activation="tanh"), data, epochs=2, checkpoint=path)
    torch.save({"settings": {}, "history": []}, path)
    with pytest.raises(nfa.InputError, match="cannot read"):
        nfa.train(nfa.MLP(4, 8, 1, 3), data, epochs=2, checkpoint=path)


def test_a_checkpoint_with_any_flipped_byte_is_refused(tmp_path):
    path, data = tmp_path / "checkpoint.pt", blobs()
    nfa.train(nfa.MLP(4, 8, 1, 3), data, epochs=1, checkpoint=path)
    good = path.read_bytes()
    for place in [*range(0, 100, 7), *range(100, len(good), len(good) // 40), len(good) - 1]:
        bad = bytearray(good)
        bad[place] ^= 0x40
        path.write_bytes(bad)
        with pytest.raises(nfa.InputError, match=r"^checkpoint: cannot read .* delete it to start again"):
            nfa.train(nfa.MLP(4, 8, 1, 3), data, epochs=2, checkpoint=path)
    path.write_bytes(good)
    assert len(nfa.train(nfa.MLP(4, 8, 1, 3), data, epochs=2, checkpoint=path).history) == 2
    assert list(tmp_path.iterdir()) == [path]


def test_a_second_training_on_one_checkpoint_is_refused_while_the_first_runs(tmp_path):
    from nfa.common.writing import alone

    path = tmp_path / "checkpoint.pt"
    with alone("checkpoint", path), pytest.raises(nfa.InputError, match=r"^checkpoint: another run is writing"):
        nfa.train(nfa.MLP(4, 8, 1, 3), blobs(), epochs=1, checkpoint=path)
    assert list(tmp_path.iterdir()) == []
