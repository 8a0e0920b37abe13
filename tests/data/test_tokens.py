"""Labels of every position of a sequence, and labels inside a dict of inputs."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from helpers import assert_same_table
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import nfa
from nfa.audits.verdict import network_verdict
from nfa.network import score

N, T, C = 32, 6, 5


class Tagger(nn.Module):
    def __init__(self, out=C):
        super().__init__()
        torch.manual_seed(0)
        self.emb, self.inner, self.head = nn.Embedding(20, 8), nn.Linear(8, 16), nn.Linear(16, out)

    def forward(self, ids, mask=None):
        return self.head(torch.relu(self.inner(self.emb(ids))))


IDS = torch.randint(20, (N, T), generator=torch.Generator().manual_seed(0))
LABELS = torch.randint(C, (N, T), generator=torch.Generator().manual_seed(1))
SOME = LABELS.masked_fill(torch.rand(N, T, generator=torch.Generator().manual_seed(2)) < 0.3, -100)


@pytest.mark.parametrize("labels", [LABELS, SOME], ids=["all", "some are ignored"])
def test_labels_of_every_position_are_scored(labels):
    net = Tagger()
    counted = labels != -100
    right = (net(IDS).argmax(-1) == labels)[counted].double().mean()
    commonest = labels[counted].bincount().max() / counted.sum()
    loader = DataLoader(TensorDataset(IDS, labels), 7)
    mask = torch.ones(N, T)
    dicts = DataLoader([{"ids": i, "mask": m, "labels": y} for i, m, y in zip(IDS, mask, labels, strict=True)], 7)
    expected = nfa.audit(net, IDS)
    for data in ((IDS, labels), (IDS.numpy(), labels.numpy()), loader, dicts, {"ids": IDS, "labels": labels}):
        audit = nfa.audit(net, data)
        assert audit.score.metric == "accuracy"
        assert audit.score.value == pytest.approx(float(right))
        assert audit.score.baseline == pytest.approx(float(commonest))
        assert audit.score.n == int(counted.sum())
        columns = ["name", "cosine", "alignment", "rows"]
        assert audit.to_frame()[columns].equals(expected.to_frame()[columns])


@pytest.mark.parametrize("alike", [False, True], ids=["independent", "alike in a sample"])
def test_the_margin_of_labels_in_samples(alike):
    net = Tagger()
    labels = (LABELS[:, :1].expand(N, T) if alike else LABELS).masked_fill(SOME == -100, -100)
    found = score(net, (IDS, labels), batch_size=7)
    counted, n = labels != -100, int((labels != -100).sum())
    effects = []
    one_hot = [(labels == c).double() for c in range(C)]
    for columns in (one_hot, [((net(IDS).argmax(-1) == labels) & counted).double()]):
        # Kish: the variance of a mean over samples, over that of as many independent labels.
        off = sum(((each.sum(1) - each.sum() / n * counted.sum(1)) ** 2).sum() for each in columns)
        shares = [each.sum() / n for each in columns]
        effects.append(N / (N - 1) * off / n / sum(p * (1 - p) for p in shares))
    effective = n / max(1.0, *map(float, effects))
    p = found.baseline
    assert found.margin_over_constant == pytest.approx(3 * (p * (1 - p) / effective) ** 0.5)
    assert found.n_effective < N + 2 if alike else found.n_effective > 0.6 * n
    assert found.measured_on == f"{n} labels of all {N} samples"


@pytest.mark.parametrize("together", [False, True])
def test_positions_that_are_alike_show_no_more_than_their_samples(together):
    y = torch.arange(12) % 2
    answers = torch.where(torch.arange(12) < 2, 1 - y, y)  # right for 10 of 12
    net = nn.Linear(2, 2, bias=False)
    net.weight.data = torch.eye(2)
    x, y = nn.functional.one_hot(answers, 2).float()[:, None].expand(12, 20, 2), y[:, None].expand(12, 20)
    if not together:
        x, y = x.transpose(0, 1), y.T  # 20 samples, and in each of them all labels
    found = score(net, (x, y))
    assert (found.value, found.baseline, found.n) == (10 / 12, 0.5, 240)
    assert network_verdict(found, replace(found, value=0.5), order_known=True).learned is not together


def test_the_score_of_positions_is_kept_in_the_record(tmp_path):
    audit = nfa.audit(Tagger(), (IDS, LABELS))
    audit.save(tmp_path / "audit")
    assert nfa.Audit.load(tmp_path / "audit").score == audit.score
    assert f"on {N * T} labels of all {N} samples" in str(audit)


def test_the_loss_is_the_mean_over_the_labels_that_count():
    net = Tagger().double()
    loss = nn.functional.cross_entropy(net(IDS).flatten(0, 1), SOME.flatten())
    G = torch.autograd.grad(loss, net.inner.weight)[0]
    for batch_size in (5, 512):
        layer = nfa.audit(net, (IDS, SOME), loss="cross_entropy", batch_size=batch_size)["inner"]
        W = net.inner.weight.detach()
        N_, R = W.T @ W, -W.T @ G
        assert layer["fact_cosine"] == pytest.approx(float((N_ * R).sum() / N_.norm() / R.norm()))


def test_names_of_classes_are_read_at_every_position():
    net = Tagger()
    audit = nfa.audit(net, (IDS, 10 * LABELS), classes=[0, 10, 20, 30, 40])
    assert audit.score == nfa.audit(net, (IDS, LABELS)).score


@pytest.mark.parametrize(
    ("net", "labels", "message"),
    [
        (
            Tagger(),
            LABELS[:, :3],
            r"^y: whole numbers of shape \(32, 3\); give class",
        ),
        (Tagger(), LABELS + 1, "^y: classes 1 to 5, but the network has outputs 0 to 4"),
        (Tagger(), torch.full((N, T), -100), "^y: every label is -100, which counts for nothing$"),
        (nn.Sequential(Tagger(), nn.Flatten()), LABELS, r"^y: whole numbers of shape \(32, 6\)"),
    ],
)
def test_labels_that_do_not_fit(net, labels, message):
    with pytest.raises(nfa.InputError, match=message):
        nfa.audit(net, (IDS, labels))


def test_labels_in_a_dict_are_not_handed_to_the_network():
    net = Tagger()
    with_labels = {"ids": IDS, "labels": LABELS}
    assert_same_table(nfa.audit(net, with_labels, samples=10), nfa.audit(net, ({"ids": IDS}, LABELS), samples=10))
    assert np.isnan(nfa.audit(net, ({"ids": IDS}, None))["inner"]["moved"])


def test_an_input_called_labels_is_handed_over_in_a_pair():
    class Named(Tagger):
        def forward(self, ids, labels):
            return super().forward(ids + labels)

    net, y = Named(), (LABELS + 1) % C
    expected = nfa.audit(Tagger(), (IDS // 2 + IDS % 2, y))
    parts = {"ids": IDS // 2, "labels": IDS % 2}
    loader = DataLoader([({"ids": a // 2, "labels": a % 2}, b) for a, b in zip(IDS, y, strict=True)], 7)
    for data in ((parts, y), loader):
        audit = nfa.audit(net, data)
        assert_same_table(audit, expected)
        assert audit.score.value == pytest.approx(expected.score.value)
    without = nfa.audit(net, (parts, None))
    assert without.score is None
    assert len(without) == len(expected)
    assert nfa.audit(net, (parts, None), samples=5).about.n_samples == 5


@pytest.mark.parametrize("kind", ["tensors", "padded", "arrays", "loader"])
def test_labels_that_are_the_inputs_are_refused(kind):
    labels = torch.where(SOME == -100, SOME, IDS) if kind == "padded" else IDS
    data = {"ids": IDS, "labels": labels}
    if kind == "arrays":
        data = {name: each.numpy() for name, each in data.items()}
    if kind == "loader":
        data = DataLoader([{"ids": each, "labels": each} for each in IDS], 7)
    message = (
        r"^data: its labels are ids, which causal language models shift by one position inside; hand over "
        r"\(\{'ids': \.\.\.\}, targets\), targets\[:, t\] = ids\[:, t \+ 1\] and -100 at the last position"
    )
    with pytest.raises(nfa.InputError, match=message):
        nfa.audit(Tagger(20), data)
