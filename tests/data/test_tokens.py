"""Labels of every position of a sequence, and labels inside a dict of inputs."""

import numpy as np
import pytest
import torch
from helpers import assert_same_table
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import nfa

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
