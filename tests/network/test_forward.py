"""Calling networks: several inputs, several outputs, whole numbers."""

import re
from collections import OrderedDict
from dataclasses import dataclass
from typing import NamedTuple

import pytest
import torch
import torch.nn.functional as F
from helpers import assert_same_table, gaussian
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import nfa
from nfa.network.forward import Forward
from nfa.probe import Probe, activations


class Pair(nn.Module):
    """Two inputs into one network."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.left, self.right, self.head = nn.Linear(3, 4), nn.Linear(2, 4), nn.Linear(4, 2)
        self.double()

    def forward(self, left, right, scale=1.0):
        return self.head(torch.tanh(self.left(left) + scale * self.right(right)))


class Joined(nn.Module):
    """The same network with its inputs side by side."""

    def __init__(self, pair):
        super().__init__()
        self.pair = pair

    def forward(self, x):
        return self.pair(x[:, :3], x[:, 3:])


@pytest.fixture
def pair():
    return Pair(), gaussian(23, 3), gaussian(23, 2, seed=2)


def test_several_inputs_however_they_are_kept(pair):
    net, left, right = pair
    y = torch.arange(23) % 2
    plain = nfa.audit(Joined(net), (torch.cat([left, right], 1), y))
    named, in_order = {"left": left, "right": right.numpy()}, (left, right)
    loader = DataLoader(TensorDataset(left, right, y), batch_size=5)
    for data, forward_args in [
        ((named, y), None),
        ((in_order, y), None),
        (({"a": left, "b": right}, y), lambda batch: {"left": batch["a"], "right": batch["b"]}),
        (({"a": left, "b": right}, y), lambda batch: (batch["a"], batch["b"], 1.0)),
        ((torch.cat([left, right], 1), y), lambda x: (x[:, :3], x[:, 3:])),
        (_Batches(loader, lambda a, b, y: ({"left": a, "right": b}, y)), None),
        (_Batches(loader, lambda a, b, y: ([a, b], y)), None),
    ]:
        got = nfa.audit(net, data, forward_args=forward_args, batch_size=7)
        assert got.score == plain.score
        assert_same_table(got, plain, 1e-10, names=False)
    without = nfa.audit(net, named)
    assert without.score is None
    assert_same_table(without, nfa.audit(Joined(net), torch.cat([left, right], 1)), 1e-10, names=False)


class _Batches(DataLoader):
    """A loader whose batches come in another form."""

    def __init__(self, loader, form):
        super().__init__(loader.dataset, batch_size=loader.batch_size)
        self.form = form

    def __iter__(self):
        return (self.form(*batch) for batch in super().__iter__())


def test_several_inputs_that_do_not_fit_are_named(pair):
    net, left, right = pair
    bad = right.clone()
    bad[3, 1] = float("nan")
    for message, data in {
        r"data\['left'\] has 23, data\['right'\] has 22": {"left": left, "right": right[1:]},
        r"data\['right'\]: nan at row 3, column 1": {"left": left, "right": bad},
        r"data\[1\]: nan at row 3": ((left, bad), torch.zeros(23)),
        r"cannot take rows of shape \(3,\), \(2,\): .*unexpected keyword": {"a": left, "b": right},
        "a dict of inputs needs names": {},
        "data: a tuple of 3; hand over": (left, right, right),
        r"data\['left'\]: got str": {"left": "x", "right": right},
        "cannot take rows": left,
        "the loader yields 3 things, expected x, ": DataLoader(TensorDataset(left, right, right)),
    }.items():
        with pytest.raises(nfa.InputError, match=message) as caught:
            nfa.audit(net, data)
        assert "\n" not in str(caught.value)


class Named(NamedTuple):
    value: torch.Tensor
    classes: torch.Tensor
    count: torch.Tensor


@dataclass
class Record:
    value: torch.Tensor
    classes: torch.Tensor
    count: torch.Tensor


class Several(nn.Module):
    """A network with more than one output."""

    def __init__(self, kind):
        super().__init__()
        torch.manual_seed(0)
        self.body, self.classes, self.value = nn.Linear(4, 5), nn.Linear(5, 3), nn.Linear(5, 1)
        self.kind = kind

    def forward(self, x):
        h = torch.tanh(self.body(x))
        found = {"value": self.value(h), "classes": self.classes(h), "count": torch.ones(len(x), dtype=torch.int64)}
        kinds = {
            "dict": OrderedDict(found),
            "tuple": tuple(found.values()),
            "single": [found["classes"]],
            "named tuple": Named(**found),
            "dataclass": Record(**found),
        }
        return kinds[self.kind]


def test_one_of_several_outputs_is_chosen():
    X, y = gaussian(20, 4, dtype=torch.float32), torch.arange(20) % 3
    net = Several("dict")
    expected = nfa.audit(nn.Sequential(OrderedDict(body=net.body, act=nn.Tanh(), classes=net.classes)), (X, y))
    heads = [("dict", "classes"), ("tuple", 1), ("tuple", "1"), ("single", None)]
    heads += [("named tuple", "classes"), ("named tuple", 1), ("dataclass", "classes")]
    for kind, head in heads:
        got = nfa.audit(Several(kind), (X, y), head=head, layers="[bc]*")
        assert got.score == expected.score
        for layer, other in zip(got, expected, strict=True):
            assert layer["cosine"] == pytest.approx(other["cosine"], abs=1e-6)
    for message, kind, head in [
        ("its output is a OrderedDict of 3; choose one: head='value', head='classes', head='count'", "dict", None),
        ("its output is a tuple of 3; choose one: head=0, head=1, head=2", "tuple", None),
        ("head: no output 'class'; the network has 'value', 'classes', 'count'", "dict", "class"),
        ("head: no output 7; the network has 0, 1, 2", "tuple", 7),
        ("its output is torch.int64", "dict", "count"),
    ]:
        with pytest.raises(nfa.InputError, match=message):
            nfa.audit(Several(kind), X, head=head)
    with pytest.raises(nfa.InputError, match="head: the network has one output, so there is none called 'x'"):
        nfa.audit(nn.Linear(4, 2), X, head="x")


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")  # torch 2.6 has no such warning
def test_networks_that_hide_or_lack_their_weights():
    X = torch.zeros(5, 3)
    with pytest.raises(nfa.InputError, match="TorchScript hides"):
        nfa.audit(torch.jit.trace(nn.Linear(3, 2), X), X)
    with pytest.raises(nfa.InputError, match="weight has no shape yet; run the network once"):
        nfa.audit(nn.LazyLinear(4), X)
    with pytest.raises(nfa.InputError, match="no floating-point weights"):
        Forward(nn.ReLU())


def test_a_later_batch_that_the_network_cannot_take_is_one_line():
    tokens = torch.tensor([[1, 2], [0, 1], [3, 2], [1, 9]])
    net = nn.Sequential(nn.Embedding(4, 3), nn.Flatten(), nn.Linear(6, 2))
    with pytest.raises(nfa.InputError, match=r"cannot take rows of shape \(2,\): index out of range") as caught:
        nfa.audit(net, tokens, batch_size=2)
    assert isinstance(caught.value.__cause__, IndexError)


class Heads(nn.Module):
    def __init__(self):
        super().__init__()
        self.f, self.mu, self.s = nn.Linear(4, 6), nn.Linear(6, 3), nn.Linear(6, 3)

    def forward(self, x):
        h = torch.tanh(self.f(x))
        return self.mu(h), self.s(h).exp()


class Policy(Heads):
    def forward(self, x):
        return torch.distributions.Normal(*super().forward(x))


class AsDict(Heads):
    def forward(self, x):
        mean, scale = super().forward(x)
        return {"mean": mean, "scale": scale}


class Both(Heads):
    def forward(self, x):
        return torch.cat(super().forward(x), 1)


OF_ANYTHING = {
    "tuple": (Heads, lambda output: torch.cat(output, 1)),
    "distribution": (Policy, lambda d: torch.cat([d.mean, d.stddev], 1)),
    "dict": (AsDict, lambda output: torch.cat([output["mean"], output["scale"]], 1)),
}


@pytest.mark.parametrize("kind", OF_ANYTHING)
def test_outputs_may_be_a_function_of_whatever_the_network_returns(kind):
    torch.manual_seed(0)
    made, function = OF_ANYTHING[kind]
    net, both, X = made(), Both(), gaussian(20, 4, dtype=torch.float32)
    both.load_state_dict(net.state_dict())
    y = gaussian(20, 6, seed=2, dtype=torch.float32)
    audit, expected = nfa.audit(net, (X, y), outputs=function), nfa.audit(both, (X, y))
    if kind != "distribution":
        expected = nfa.audit(both, X)
    assert_same_table(audit, expected)
    if kind == "distribution":
        assert audit.score.value == pytest.approx(expected.score.value)
    else:
        # Of several outputs nothing says which one the targets are of.
        assert audit.score is None
        assert any(note.startswith("No score: the network returns several outputs") for note in audit.about.notes)
        with pytest.raises(nfa.InputError, match=r"^loss: outputs= is a function of several outputs; head= says which"):
            nfa.audit(net, (X, y), outputs=function, loss="mse")
    with pytest.raises(nfa.InputError, match=r"^outputs: the function cannot take a \w+: "):
        nfa.audit(net, X, outputs=lambda output: output.no_such_thing)
    with pytest.raises(nfa.InputError, match=r"^outputs: the function returned int, expected 2 rows of floating-point"):
        nfa.audit(net, X, outputs=lambda output: 3)


@pytest.mark.parametrize("loss", [None, "cross_entropy"])
def test_the_score_is_of_the_network_s_own_output(loss):
    class Named(nn.Sequential):
        def forward(self, x):
            return {"logits": super().forward(x)}

    torch.manual_seed(0)
    parts, X = [nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 3)], gaussian(40, 4, dtype=torch.float32)
    y = torch.arange(40) % 3
    # The function gets what the network returned, by its name.
    audit = nfa.audit(Named(*parts), (X, y), outputs=lambda output: output["logits"][:, 0], loss=loss)
    expected = nfa.audit(nn.Sequential(*parts), (X, y), outputs=lambda f: f[:, 0], loss=loss)
    assert audit.score == expected.score
    assert audit.score.metric == "accuracy"
    assert_same_table(audit, expected)


def test_what_a_first_try_met_is_not_said_to_be_left_out():
    class Picture(nn.Module):
        def __init__(self):
            super().__init__()
            self.c1, self.head = nn.Conv2d(1, 3, 3), nn.Linear(108, 2)

        def forward(self, x):
            return self.head(torch.relu(self.c1(x)).flatten(1))

    data = nfa.Dataset(gaussian(20, 64).numpy().astype("float32"), feature_shape=(1, 8, 8))
    audit = nfa.audit(Picture(), data)
    assert [layer["name"] for layer in audit] == ["c1", "head"]
    assert audit.about.skipped == ()
    tokens = torch.randint(7, (20, 3), generator=torch.Generator().manual_seed(0)).float()
    audit = nfa.audit(nn.Sequential(nn.Embedding(7, 4), nn.Tanh(), nn.Flatten(), nn.Linear(12, 2)), tokens)
    assert [layer["name"] for layer in audit] == ["0", "3"]
    assert audit.about.skipped == ()


def test_what_is_no_tensor_hints_at_head_and_outputs():
    X = gaussian(20, 4, dtype=torch.float32)
    hint = r"expected a floating-point tensor; head= chooses one of several outputs, outputs= takes a function of what"
    with pytest.raises(nfa.InputError, match=f"^net: its output is Normal, {hint}"):
        nfa.audit(Policy(), X)
    with pytest.raises(nfa.InputError, match="choose one: head=0, head=1, or give outputs= a function of it"):
        nfa.audit(Heads(), X)
    with pytest.raises(nfa.InputError, match="outputs= may take what is not, such as a distribution's mean"):
        nfa.audit(Policy(), X, outputs=lambda d: d.rsample())


def test_truth_values_reach_a_network_as_such():
    class Masked(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(4, 2)

        def forward(self, x):
            return self.layer(torch.where(x, 1.0, -1.0))

    net, X = Masked(), gaussian(20, 4) > 0
    for data in (X, X.numpy(), X.tolist()):
        with Probe(net, data) as probe:
            rows = activations(probe, ["layer"]).rows["layer"]
        torch.testing.assert_close(rows[:, 0], torch.where(X, 1.0, -1.0))
    # Any other network takes them as numbers.
    assert_same_table(nfa.audit(net.layer, X), nfa.audit(net.layer, X.float()), 1e-12)


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning", "ignore::FutureWarning")
@pytest.mark.parametrize("kind", ["dynamic", "static", "someone else's"])
def test_quantized_networks_are_told_from_networks_without_layers(kind):
    X, net = gaussian(20, 4, dtype=torch.float32), nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2)).eval()
    if kind == "dynamic":
        net = torch.ao.quantization.quantize_dynamic(net, {nn.Linear}, dtype=torch.qint8)
    elif kind == "static":
        net = nn.Sequential(torch.ao.quantization.QuantStub(), net, torch.ao.quantization.DeQuantStub()).eval()
        net.qconfig = torch.ao.quantization.get_default_qconfig("fbgemm")
        prepared = torch.ao.quantization.prepare(net)
        prepared(X)
        net = torch.ao.quantization.convert(prepared)
    else:
        net[0] = type("Linear4bit", (nn.Linear,), {"__module__": "bitsandbytes.nn.modules"})(4, 8)
    message = (
        r"^net: 0 is quantized \(\w+ of .*\); quantized networks are not supported: give the network before quanti"
    )
    with pytest.raises(nfa.InputError, match=message):
        nfa.audit(net, X)


def test_complex_networks_are_named():
    net = nn.Linear(4, 2, dtype=torch.complex64)
    with pytest.raises(nfa.InputError, match=r"^net: weight holds complex numbers; complex networks are"):
        nfa.audit(net, gaussian(20, 4))


class OfADict(nn.Module):
    """A network that takes a dict of inputs as it is."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(5, 2)

    def forward(self, batch):
        return self.linear(torch.cat([batch["clinical"], batch["blood"]], 1))


def test_a_network_of_one_dict_is_told_the_call_that_works():
    data = {"clinical": torch.randn(9, 2), "blood": torch.randn(9, 3)}
    with pytest.raises(nfa.InputError, match=re.escape("and forward_args=lambda batch: (batch,) the dict itself")):
        nfa.audit(OfADict(), data)
    assert nfa.audit(OfADict(), data, forward_args=lambda batch: (batch,))[0]["rows"] == 9


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (lambda batch: (batch["x"], batch["y"]), "KeyError: 'y'"),
        (lambda batch: 1 / 0, "ZeroDivisionError: division by zero"),
        (lambda batch, more: batch, "TypeError: .* missing 1 required positional argument: 'more'"),
    ],
)
def test_what_fails_in_forward_args_keeps_its_type(function, reason):
    with pytest.raises(nfa.InputError, match=f"^forward_args: the function raised {reason}$") as caught:
        nfa.audit(nn.Linear(2, 2), {"x": torch.randn(9, 2)}, forward_args=function)
    assert type(caught.value.__cause__).__name__ == reason.partition(":")[0]


class Positions(nn.Module):
    """Reads whole numbers in some way, with positions that end before its inputs do, or numbers as they are."""

    def __init__(self, read):
        super().__init__()
        self.table, self.positions, self.head = nn.Parameter(torch.ones(7, 4)), nn.Embedding(3, 4), nn.Linear(4, 2)
        self.read = read

    def forward(self, x):
        h = self.read(self.table, x)
        return self.head(h + self.positions(torch.arange(x.shape[1])).sum(0))


WHOLE = {
    "embedding": lambda W, x: F.embedding(x, W).mean(1),
    "bag": lambda W, x: F.embedding_bag(x, W),
    "one-hot": lambda W, x: F.one_hot(x, 7).to(W.dtype).mean(1) @ W,
    "index": lambda W, x: W[x].mean(1),
    "index and axis": lambda W, x: W[x[:, 0], :],
    "gather": lambda W, x: torch.gather(W[:, :1].T.expand(len(x), -1), 1, x).sum(1, keepdim=True),
    "scatter": lambda W, x: x.new_zeros(len(x), 7, dtype=W.dtype).scatter(1, x, 1.0) @ W,
    "select": lambda W, x: W.index_select(0, x[:, 0]),
    "take": lambda W, x: W.take(x).sum(1, keepdim=True),
    "counts": lambda W, x: torch.stack([each.bincount(minlength=7) for each in x]).to(W.dtype) @ W,
    "bits": lambda W, x: W[(x & 1).long()].mean(1),
    "shifts": lambda W, x: W[(x >> 1).long()].mean(1),
    "slices": lambda W, x: torch.stack([W[: i + 1].sum(0) for i in x[:, 0]]),
    "lists": lambda W, x: torch.stack([[*W][i] for i in x[:, 0].tolist()]),
    "range": lambda W, x: torch.stack([W[[*range(i + 1)]].sum(0) for i in x[:, 0].tolist()]),
}


@pytest.mark.parametrize("dtype", [torch.int64, torch.uint8, torch.float32])
@pytest.mark.parametrize("kind", WHOLE)
def test_the_reason_shown_is_not_that_whole_numbers_were_tried_as_real_ones(kind, dtype):
    tokens = torch.randint(0, 7, (6, 5), generator=torch.Generator().manual_seed(0)).to(dtype)
    forward = Forward(Positions(WHOLE[kind]))
    assert forward.width(tokens[:, :3]) == 2
    with pytest.raises(nfa.InputError, match=r"cannot take rows of shape \(5,\): index out of range in self"):
        forward.width(tokens)


@pytest.mark.parametrize("dtype", [torch.int64, torch.float32])
def test_the_reason_shown_is_that_of_real_numbers_where_they_are_wanted(dtype):
    class TooLong(nn.Module):
        def __init__(self):
            super().__init__()
            self.head = nn.Linear(5, 2)

        def forward(self, x):
            f = self.head(x)
            assert x.shape[1] < 5, "5 numbers are too long a row, an integer multiple of 5 and no int64"
            return f

    with pytest.raises(nfa.InputError, match="5 numbers are too long a row, an integer multiple of 5"):
        Forward(TooLong()).width(torch.ones(6, 5).to(dtype))


def test_whole_numbers_that_are_wanted_are_said_to_be():
    with pytest.raises(nfa.InputError, match="Long, Int"):
        Forward(Positions(WHOLE["embedding"])).width(torch.full((6, 3), 0.5))
