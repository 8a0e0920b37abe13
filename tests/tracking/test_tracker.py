"""A tracker sees what `nfa.audit` sees, and a training that is watched is the same training."""

import copy
import random

import numpy as np
import pandas as pd
import pytest
import torch
from helpers import gaussian, perturbed
from torch import nn
from torch.nn.utils import prune
from torch.utils.data import DataLoader, TensorDataset

import nfa
from nfa.common import InputError
from nfa.tracking import History

Y = torch.arange(40) % 3


def trained(track, epochs=5, **options):
    """A network with dropout and batch norm, trained on shuffled batches, with noise from every global source."""
    torch.manual_seed(3)
    np.random.seed(3)  # noqa: NPY002
    random.seed(3)
    net = nn.Sequential(nn.Linear(6, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.5), nn.Linear(16, 3))
    seen = []
    net[0].register_forward_hook(lambda module, args, output: seen.append(module.training))
    loader = DataLoader(TensorDataset(gaussian(40, 6, dtype=torch.float32), Y), batch_size=8, shuffle=True)
    optimizer = torch.optim.Adam(net.parameters(), 0.01)
    found = nfa.Tracker(net, loader, **options) if track else None
    for epoch in range(1, epochs + 1):
        net.train()
        for X, y in loader:
            noise = random.random() + float(np.random.rand())  # noqa: NPY002
            nn.functional.cross_entropy(net(X + 0.01 * noise), y).backward()
            if found is not None:
                found.record(epoch=epoch)  # between backward and step: gradients are there, and stay
            optimizer.step()
            optimizer.zero_grad()
        assert net.training
    assert len(net[0]._forward_hooks) == 1
    states = [torch.get_rng_state(), np.random.get_state()[1].tolist(), random.getstate()]  # noqa: NPY002
    return net, states, found


def test_a_training_that_is_watched_is_the_same_to_the_bit():
    (net, states, _), (watched, after, found) = trained(False), trained(True)
    assert found.cost.audits == 5
    own = net.state_dict()
    assert all(torch.equal(value, own[name]) for name, value in watched.state_dict().items())
    assert torch.equal(states[0], after[0])
    assert states[1:] == after[1:]


@pytest.mark.parametrize("generator_of", ["loader", "sampler"])
def test_generators_of_a_loader_stay_as_they_are(small, generator_of):
    net, X = small
    generator = torch.Generator().manual_seed(1)
    data = TensorDataset(X, Y)
    if generator_of == "loader":
        loader = DataLoader(data, batch_size=8, shuffle=True, generator=generator)
    else:
        sampler = torch.utils.data.WeightedRandomSampler(torch.ones(40), 40, generator=generator)
        loader = DataLoader(data, batch_size=8, sampler=sampler)
    state = generator.get_state()
    nfa.Tracker(net, loader, samples=10).record(epoch=1)
    assert torch.equal(generator.get_state(), state)


def test_gradients_and_modes_stay(small):
    net, X = small
    net(X).sum().backward()
    gradients = [parameter.grad.clone() for parameter in net.parameters()]
    found = nfa.Tracker(net.train(), (X, Y))
    found.record(epoch=1)
    assert net.training
    assert all(torch.equal(parameter.grad, each) for parameter, each in zip(net.parameters(), gradients, strict=True))


def test_an_audit_under_autocast_and_no_grad_is_the_same(small):
    net, X = small
    found = nfa.Tracker(net, (X, Y))
    plain = found.record(epoch=1)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        assert found.record(epoch=2) == plain


def test_a_loss_in_its_graph_is_a_number():
    net, X = torch.nn.Linear(6, 3), torch.eye(6)
    loss = net(X).square().mean()
    tracker = nfa.Tracker(net, X)
    tracker.record(epoch=0, loss=loss)
    assert tracker.to_frame()["loss"].dropna().tolist() == [float(loss.detach())]


def test_what_is_recorded_is_what_an_audit_of_these_columns_finds(small):
    """Of the network as it is then, beside the network as it was when the tracker was made."""
    net, X = small
    asked = ["cosine", "rotated_cosine", "init_cosine", "alignment_z", "untrained_cosine"]
    found = nfa.Tracker(net, (X, Y), columns=asked)
    before = copy.deepcopy(net)
    net.load_state_dict(perturbed(net).state_dict())
    flat = found.record(epoch=1, loss=0.25)
    expected = nfa.audit(net, (X, Y), before)
    for layer in expected:
        for column in asked:
            assert flat[f"nfa/{layer['name']}/{column}"] == pytest.approx(layer[column], nan_ok=True, rel=1e-10)
    assert flat["nfa/score"] == expected.score.value
    assert all(type(value) is float for value in flat.values())


def test_an_init_that_is_given_is_the_init(small):
    net, X = small
    before = perturbed(net)
    flat = nfa.Tracker(net, X, init=before).record(epoch=1)
    assert flat["nfa/layers.0/init_cosine"] == pytest.approx(nfa.audit(net, X, before)[0]["init_cosine"])


def test_all_audits_are_of_the_same_rows():
    net, X = nn.Linear(6, 3), gaussian(300, 6, dtype=torch.float32)
    found = nfa.Tracker(net, DataLoader(TensorDataset(X, torch.arange(300) % 3), shuffle=True), samples=100)
    assert found.record(epoch=1) == found.record(epoch=2)
    assert set(found.to_frame()["rows"].dropna()) == {100}


def test_the_table_is_tidy(small):
    net, X = small
    found = nfa.Tracker(net, (X, Y), every_n_epochs=2)
    assert [
        found.record(epoch=epoch, step=10 * epoch, loss=torch.tensor(1 / epoch)) is None for epoch in (1, 2, 3, 4)
    ] == [
        True,
        False,
        True,
        False,
    ]
    frame = found.to_frame()
    assert list(frame.columns[:4]) == ["epoch", "step", "layer", "name"]
    assert list(frame.columns[-3:]) == ["score", "score_baseline", "loss"]
    assert frame["epoch"].tolist() == [2] * 4 + [4] * 4
    assert frame["step"].tolist() == [20] * 4 + [40] * 4
    run, layers = frame[frame["layer"].isna()], frame[frame["layer"].notna()]
    assert run["loss"].tolist() == [0.5, 0.25]
    assert layers["name"].tolist() == ["layers.0", "layers.1", "layers.2"] * 2
    assert layers[["score", "loss"]].isna().all(axis=None)
    assert run["cosine"].isna().all()
    assert found.cost.audits == 2
    assert found.cost.seconds > 0


def test_a_run_that_goes_on_has_its_audits_and_its_init(small, tmp_path):
    net, X = small
    net.register_parameter("same", net.layers[0].weight)  # one tensor, two names
    first = nfa.Tracker(net, (X, Y))
    first.record(epoch=1, loss=0.5)
    first.save(tmp_path)
    later = perturbed(net)
    second = nfa.Tracker(later, (X, Y))
    second.load(tmp_path)
    pd.testing.assert_frame_equal(second.to_frame(), first.to_frame())
    assert second.cost == first.cost
    assert second.record(epoch=1) is None
    with pytest.raises(InputError, match="epoch: got 0 after 1"):
        second.record(epoch=0)
    flat = second.record(epoch=2)
    assert flat["nfa/layers.0/init_cosine"] == pytest.approx(nfa.audit(later, X, net)[0]["init_cosine"])
    assert History.load(tmp_path).to_frame()["epoch"].tolist() == [1] * 4


def test_files_that_do_not_fit_are_one_line(small, tmp_path):
    net, X = small
    found = nfa.Tracker(net, X)
    with pytest.raises(InputError, match="tracker: no such file"):
        found.load(tmp_path)
    found.save(tmp_path)
    for other, message in (
        (nfa.Tracker(net, X, columns=["cosine"]), "tracker: .* was made with columns"),
        (nfa.Tracker(net, X, samples=10), "tracker: .* was made with samples 512, this tracker has 10"),
        (nfa.Tracker(nfa.MLP(6, 4, n_outputs=3).double(), X), "tracker: .* began from another network"),
    ):
        with pytest.raises(InputError, match=message):
            other.load(tmp_path)
    file = tmp_path / "tracker.safetensors"
    whole = file.read_bytes()
    for damaged in (whole[:100], whole.replace(b'"nfa', b'"xxx').replace(b'tracker"', b'trecker"'), b"x" * 50):
        file.write_bytes(damaged)
        with pytest.raises(
            InputError, match=r"tracker: .* is damaged, or no tracker's; tracker.save\(folder\) writes one"
        ):
            History.load(tmp_path)
    file.write_bytes(whole.replace(b'\\"schema\\": 1', b'\\"schema\\": 7'))
    with pytest.raises(InputError, match="has schema 7, expected 1"):
        History.load(tmp_path)


def test_a_run_goes_on_with_the_same_data_alone(small, tmp_path):
    net, X = small
    nfa.Tracker(net, (X, Y)).save(tmp_path)
    one = X.clone()
    one[3] += 1
    for data, message in (
        ((gaussian(40, 6, seed=5), Y), "other inputs than this tracker has"),
        ((one, Y), "other inputs than this tracker has"),
        ((X.flip(0), Y), "other inputs than this tracker has"),
        ((X, (Y + 1) % 3), "other targets than this tracker has"),
        ((X[:30], Y[:30]), "40 rows, this tracker has 30"),
    ):
        with pytest.raises(InputError, match=rf"^tracker: {tmp_path} was made with {message}$"):
            nfa.Tracker(net, data).load(tmp_path)
    # The same numbers in another form, computed on another machine, or read in other batches.
    for data, options in (
        ((X.numpy(), Y.tolist()), {}),
        ((X.float(), Y.float()), {}),
        ((X * (1 + 1e-7 * gaussian(40, 6, seed=5)), Y), {}),
        ((X.to_sparse(), Y), {"batch_size": 7}),
        (DataLoader(TensorDataset(gaussian(40, 6, seed=5), Y)), {}),  # may be shuffled or augmented
        (X, {}),
    ):
        nfa.Tracker(net, data, **options).load(tmp_path)


def test_held_out_rows_and_every_input_are_held_too(small, tmp_path):
    net, X = small
    data = nfa.Dataset(X.numpy(), Y.numpy()).divide(test=0.25)
    nfa.Tracker(net, data).save(tmp_path / "set")
    other = X.numpy().copy()
    other[data.split["test"]] *= -1
    with pytest.raises(InputError, match="was made with other held-out inputs than this tracker has"):
        nfa.Tracker(net, nfa.Dataset(other, data.y, split=data.split)).load(tmp_path / "set")

    class Both(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Linear(6, 3), nn.Linear(2, 3)

        def forward(self, left, right):
            return self.a(left) + self.b(right)

    both, left, right = Both(), X.float(), gaussian(40, 2, dtype=torch.float32)
    nfa.Tracker(both, ({"left": left, "right": right}, Y)).save(tmp_path / "both")
    nfa.Tracker(both, ({"left": left, "right": right}, Y), batch_size=9).load(tmp_path / "both")
    with pytest.raises(InputError, match="was made with other inputs"):
        nfa.Tracker(both, ({"left": left, "right": -right}, Y)).load(tmp_path / "both")


def test_a_file_without_its_data_goes_on_and_holds_them_from_then_on(small, tmp_path):
    net, X = small
    first = nfa.Tracker(net, (X, Y))
    first.history.settings.pop("data")
    first.save(tmp_path)
    second = nfa.Tracker(net, (X, Y))
    second.load(tmp_path)
    second.save(tmp_path)
    with pytest.raises(InputError, match="was made with other inputs"):
        nfa.Tracker(net, (-X, Y)).load(tmp_path)


@pytest.mark.parametrize(
    "data", [3, "ab", {"rows": "x"}, {"rows": 1.5}, {"inputs": 3}, {"inputs": ["a"] * 5}, {"inputs": [1.0]}]
)
def test_damaged_data_of_a_file_are_one_line(small, tmp_path, data):
    net, X = small
    found = nfa.Tracker(net, X)
    found.history.settings["data"] = data
    found.save(tmp_path)
    with pytest.raises(InputError, match=r"tracker: .* is damaged, or no tracker's"):
        History.load(tmp_path)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"columns": ["cosin"]}, r"columns: 'cosin' is unknown"),
        ({"columns": ["fact"]}, r"columns: 'fact_cosine' is of the group 'fact'"),
        ({"at": ["three"]}, r"at: got 'three', expected a whole number of at least 0"),
        ({"at": "1,3"}, r"at: got '1,3', expected epochs, such as \[1, 3, 10\]"),
        ({"at": 3}, r"at: got 3, expected epochs"),
        ({"at": []}, r"at: empty, expected epochs"),
        ({"at": [1], "every_n_steps": 5}, r"at: counts epochs, and every_n_steps counts steps"),
        ({"at": [1], "every_n_epochs": 1}, r"at: names epochs, and every_n_epochs counts them: give one of the two"),
        (
            {"every_n_epochs": 1, "every_n_steps": 5},
            r"every_n_epochs: counts epochs, and every_n_steps counts steps: give one of the two",
        ),
        ({"every_n_epochs": 0}, r"every_n_epochs: got 0, expected a whole number of at least 1"),
        ({"every_n_steps": 1.5}, r"every_n_steps: got 1.5, expected"),
        ({"samples": 0}, r"samples: got 0, expected"),
        ({"probes": 0}, r"probes: got 0, expected"),
    ],
)
def test_options_that_are_none_are_one_line(small, options, message):
    with pytest.raises(InputError, match=message):
        nfa.Tracker(*small, **options)


@pytest.mark.parametrize(
    ("options", "calls", "message"),
    [
        ({}, [{}], r"epoch: missing, and this tracker counts epochs"),
        ({}, [{"step": 3}], r"epoch: missing, and this tracker counts epochs \(every_n_steps= counts steps\)"),
        ({"every_n_steps": 2}, [{"epoch": 3}], r"step: missing, and this tracker counts steps"),
        ({}, [{"epoch": 3}, {"epoch": 2}], r"epoch: got 2 after 3; time goes forwards"),
        ({}, [{"epoch": 3, "step": 9}, {"epoch": 4, "step": 8}], r"step: got 8 after 9"),
        ({}, [{"epoch": 1.5}], r"epoch: got 1.5, expected a whole number"),
        ({}, [{"epoch": 1, "loss": "low"}], r"loss: got str, expected a number"),
        ({}, [{"epoch": 1, "cosine": 1.0}], r"cosine: is the name of a column"),
    ],
)
def test_records_that_are_none_are_one_line(small, options, calls, message):
    found = nfa.Tracker(*small, **options)
    for call in calls[:-1]:
        found.record(**call)
    with pytest.raises(InputError, match=message):
        found.record(**calls[-1])


def test_an_empty_tracker_has_no_table(small):
    with pytest.raises(InputError, match="tracker: empty: no audit was due yet"):
        nfa.Tracker(*small).to_frame()


def test_steps_are_audited_once_each(small):
    found = nfa.Tracker(*small, every_n_steps=5)
    due = [step for step in (0, 5, 5, 7, 10) if found.record(step=step, epoch=1) is not None]
    assert due == [0, 5, 10]


def test_a_network_that_cannot_be_copied_asks_for_its_init(small):
    net, X = small
    net.cache = (X.requires_grad_() * 2,)  # a tensor in the middle of a graph
    with pytest.raises(InputError, match=r"net: cannot be copied .*; hand over init="):
        nfa.Tracker(net, X.detach())


def test_a_pruned_network_is_tracked_in_the_middle_of_its_training():
    net = nn.Sequential(prune.l1_unstructured(nn.Linear(4, 8), "weight", 0.5), nn.ReLU(), nn.Linear(8, 2))
    X = torch.randn(20, 4, generator=torch.Generator().manual_seed(0))
    net(X).sum().backward()  # it keeps the weight that this run computed, with its graph
    found = nfa.Tracker(net, X)
    assert found.record(epoch=0)["nfa/0/init_cosine"] == pytest.approx(1)


@pytest.mark.parametrize("loss", [float("inf"), float("-inf"), float("nan")])
def test_a_loss_that_is_no_number_any_more_is_kept_too(small, loss, tmp_path):
    net, X = small
    tracker = nfa.Tracker(net, (X, Y))
    tracker.record(epoch=1, loss=loss)
    tracker.save(tmp_path)
    assert History.load(tmp_path).moments[0].run["loss"] == pytest.approx(loss, nan_ok=True)
    nfa.plots.training(History.load(tmp_path))
