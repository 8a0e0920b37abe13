"""Networks from weights alone: put into the network that is given, or rebuilt as a plain chain."""

import itertools

import pytest
import torch
from same import assert_same_audit, randomised
from torch import nn

import nfa
from nfa.common.errors import Place
from nfa.formats.weights.state_dict import build

ROWS = torch.randn(40, 6, generator=torch.Generator().manual_seed(2))
WHERE = Place("model", "net.pt")
Linear, ReLU = nn.Linear, nn.ReLU


def rebuilt(net, activation="relu", **options):
    return build(dict(net.state_dict()), WHERE, activation, None, **options)


def refusal(tensors, activation="relu", net=None, **options):
    with pytest.raises(nfa.InputError) as caught:
        build(tensors, WHERE, activation, net, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


CHAINS = {
    "plain": lambda: nn.Sequential(Linear(6, 5), ReLU(), Linear(5, 4), ReLU(), Linear(4, 3)),
    "without bias": lambda: nn.Sequential(Linear(6, 5, bias=False), ReLU(), Linear(5, 3, bias=False)),
    "some biases": lambda: nn.Sequential(Linear(6, 5, bias=False), ReLU(), Linear(5, 3)),
    "one layer": lambda: nn.Sequential(Linear(6, 3)),
    "dropout": lambda: nn.Sequential(Linear(6, 5), ReLU(), nn.Dropout(), Linear(5, 3)),
    "batch norm before": lambda: nn.Sequential(Linear(6, 5), nn.BatchNorm1d(5), ReLU(), Linear(5, 3)),
    "batch norm after": lambda: nn.Sequential(Linear(6, 5), ReLU(), nn.BatchNorm1d(5), Linear(5, 3)),
    "batch norm in front": lambda: nn.Sequential(nn.BatchNorm1d(6), Linear(6, 5), ReLU(), Linear(5, 3)),
    "batch norm without weights": lambda: nn.Sequential(
        Linear(6, 5), nn.BatchNorm1d(5, affine=False), ReLU(), Linear(5, 3)
    ),
    "layer norm before": lambda: nn.Sequential(Linear(6, 5), nn.LayerNorm(5), ReLU(), Linear(5, 3)),
    "layer norm after": lambda: nn.Sequential(Linear(6, 5), ReLU(), nn.LayerNorm(5), Linear(5, 3)),
    "layer norm in front": lambda: nn.Sequential(nn.LayerNorm(6), Linear(6, 5), ReLU(), Linear(5, 3)),
    "both": lambda: nn.Sequential(
        nn.LayerNorm(6), Linear(6, 5), nn.BatchNorm1d(5), ReLU(), Linear(5, 5), ReLU(), nn.LayerNorm(5), Linear(5, 1)
    ),
}


@pytest.mark.parametrize("kind", CHAINS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_chains_are_rebuilt(kind, dtype):
    net = randomised(CHAINS[kind]().to(dtype))
    loaded, notes = rebuilt(net)
    assert len(notes) == 1
    assert notes[0].startswith("Rebuilt as a chain: 0")
    assert ("eps of the norms is taken to be 1e-5" in notes[0]) == ("norm" in kind or kind == "both")
    assert [name for name, _ in loaded.named_parameters()] == [name for name, _ in net.named_parameters()]
    torch.testing.assert_close(loaded(ROWS.to(dtype)), net(ROWS.to(dtype)), rtol=1e-6, atol=1e-6)
    assert_same_audit(loaded, net, ROWS.to(dtype))


@pytest.mark.parametrize("activation", nfa.network.mlp.ACTIVATIONS)
def test_every_activation(activation):
    net = nfa.MLP(6, [5, 4], n_outputs=2, activation=activation, bias=True)
    loaded, _ = rebuilt(net, activation)
    assert torch.equal(loaded(ROWS), net(ROWS))
    assert [name for name, _ in loaded.named_parameters()] == [name for name, _ in net.named_parameters()]


class Named(nn.Module):
    """Layers as attributes, norms behind the layers they belong to, activations nowhere to be seen."""

    def __init__(self, norm_first=True):
        super().__init__()
        self.fc1, self.bn1, self.fc2, self.bn2, self.head = (
            Linear(6, 5),
            nn.BatchNorm1d(5),
            Linear(5, 4),
            nn.BatchNorm1d(4),
            Linear(4, 2),
        )
        self.norm_first = norm_first

    def forward(self, x):
        for fc, bn in ((self.fc1, self.bn1), (self.fc2, self.bn2)):
            x = torch.relu(bn(fc(x))) if self.norm_first else bn(torch.relu(fc(x)))
        return self.head(x)


def test_where_numbers_do_not_tell_the_norm_comes_first_and_a_note_says_so():
    net = randomised(Named())
    loaded, notes = rebuilt(net)
    assert notes[0] == (
        "Rebuilt as a chain: fc1, bn1 (batch norm), fc2, bn2 (batch norm), head, with relu after each linear layer but "
        "the last; eps of the norms is taken to be 1e-5."
    )
    assert "bn1, bn2" in notes[1]
    assert "--model" in notes[1]
    assert_same_audit(loaded, net, ROWS)


def weights(names, norms=()):
    layers = {f"{name}.weight": torch.eye(6) for name in names}
    for name in norms:
        layers[f"{name}.weight"] = layers[f"{name}.bias"] = torch.ones(6)
    order = sorted({name.rpartition(".")[0] for name in layers}, key=(*names, *norms).index)
    return {name: layers[name] for prefix in order for name in layers if name.rpartition(".")[0] == prefix}


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["0", "2", "4"], "Rebuilt as a chain: 0, 2, 4, with relu after each but the last."),
        (["layers.0", "layers.1", "layers.2"], "layers.0, layers.1, layers.2, with relu after each but the last."),
        (["0", "3", "7"], "0, 3, 7, with relu after each but the last."),
        (["0"], "Rebuilt as a chain: 0."),
        (["encoder.0", "encoder.2", "decoder.0"],
         "after each but the last; between encoder.2 and decoder.0 it is an assumption."),
        (["blocks.0.fc1", "blocks.0.fc2", "blocks.1.fc1"], "with relu after each but the last."),
        (["blocks.0.0", "blocks.0.2", "head"], "; between blocks.0.2 and head it is an assumption."),
        ([str(2 * number) for number in range(15)], "20, 22 and 3 more, with relu"),
    ],
)  # fmt: skip
def test_a_note_says_what_was_rebuilt(names, said):
    _, notes = build(weights(names), WHERE, "relu", None)
    assert len(notes) == 1
    assert said in notes[0]


@pytest.mark.parametrize("ordered", [True, False])
@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["0", "2", "3"], "room for an activation between 0 and 2, but not between 2 and 3"),
        (["0", "1", "3"], "room for an activation between 1 and 3, but not between 0 and 1"),
        (["net.0", "net.2", "net.3", "net.5"], "between net.0 and net.2, but not between net.2 and net.3"),
    ],
)
def test_a_bottleneck_without_activation_is_not_guessed(names, words, ordered):
    message = refusal(weights(names), ordered=ordered)
    assert words in message
    assert "--model package.module:factory" in message


def test_norms_take_room():
    tight = nn.Sequential(Linear(6, 6), nn.BatchNorm1d(6), Linear(6, 6), nn.BatchNorm1d(6), Linear(6, 3))
    build(dict(tight.state_dict()), WHERE, "relu", None)
    some = nn.Sequential(Linear(6, 6), nn.BatchNorm1d(6), ReLU(), Linear(6, 6), nn.BatchNorm1d(6), Linear(6, 3))
    assert "between 0 and 3, but not between 3 and 5" in refusal(dict(some.state_dict()))


def test_a_layer_by_itself():
    net = nn.Linear(6, 3)
    loaded, notes = build(dict(net.state_dict()), WHERE, None, None)
    assert notes == ("Rebuilt as a chain: one layer.",)
    assert_same_audit(loaded, net, ROWS)


def test_pictures_sequences_and_rows():
    net = CHAINS["both"]().eval()
    loaded, _ = rebuilt(net)
    pictures = ROWS.reshape(40, 1, 2, 3)
    assert torch.equal(loaded(pictures), loaded(ROWS))
    sequences = ROWS.reshape(10, 4, 6)
    torch.testing.assert_close(loaded(sequences), net(ROWS).reshape(10, 4, 1))
    with pytest.raises(nfa.InputError, match="rows of shape 7, the network takes 6"):
        loaded(torch.ones(3, 7))


def test_mixed_dtypes_become_the_widest():
    net = CHAINS["layer norm before"]()
    net[0].to(torch.bfloat16)
    loaded, _ = rebuilt(net)
    assert {p.dtype for p in loaded.parameters()} == {torch.float32}
    assert loaded(ROWS).shape == (40, 3)


def test_the_activation_must_be_said_and_known():
    tensors = dict(CHAINS["plain"]().state_dict())
    message = refusal(tensors, None)
    assert message == (
        "activation: the file holds weights alone; say what stands between the layers, "
        "e.g. --activation relu (activation='relu')"
    )
    assert "did you mean 'relu'" in refusal(tensors, "rely")


@pytest.mark.parametrize(
    ("tensors", "words"),
    [
        (
            {"a.weight": torch.ones(4, 3), "b.weight": torch.ones(1, 5)},
            "layer a gives 4 (4 x 3), but b takes 5 (1 x 5)",
        ),
        ({"conv.weight": torch.ones(4, 3, 3, 3), "fc.weight": torch.ones(1, 4)}, "conv.weight (4, 3, 3, 3)"),
        ({"w": torch.ones(4, 3)}, "w (4, 3)"),
        ({"0.weight": torch.ones(4, 3), "0.bias": torch.ones(3)}, "0.bias (3,)"),
        ({"0.weight": torch.ones(4, 3), "0.scale": torch.ones(3)}, "0.scale (3,)"),
        ({"0.weight": torch.ones(4, 3), "1.weight": torch.ones(1), "2.weight": torch.ones(1, 4)}, "1.weight (1,)"),
        ({"0.weight": torch.ones(4, 3, dtype=torch.int64)}, "0.weight (4, 3)"),
        ({"0.weight": torch.ones(0, 3)}, "0.weight (0, 3)"),
        ({"0.weight": torch.ones(3), "0.bias": torch.ones(3)}, "no linear layer"),
        ({"0.weight": torch.ones(4, 3), "1.weight": torch.ones(4), "1.bias": torch.ones(4)}, "ends in a norm"),
        (
            {
                "0.weight": torch.ones(4, 3),
                "1.weight": torch.ones(4),
                "1.bias": torch.ones(4),
                "2.weight": torch.ones(4),
                "2.bias": torch.ones(4),
                "3.weight": torch.ones(1, 4),
            },
            "two norms, 1 and 2",
        ),
        ({"forward.weight": torch.ones(4, 3)}, "cannot be rebuilt"),
        ({"a..weight": torch.ones(4, 3)}, "cannot be rebuilt"),
        ({"0.weight": torch.tensor([[1.0, float("inf")]])}, "0.weight: inf at row 0, column 1"),
    ],
)
def test_what_is_no_plain_chain(tensors, words):
    assert words in refusal(tensors)


def test_a_recurrent_network_is_no_plain_chain():
    message = refusal(dict(nn.LSTM(6, 5).state_dict()))
    assert "weight_ih_l0 (20, 6)" in message
    assert "and 1 more" in message
    assert "--model package.module:factory" in message


def test_the_given_network_gets_the_weights():
    net, other = randomised(Named(), 1), Named(norm_first=False)
    loaded, notes = build(dict(net.state_dict()), WHERE, None, other)
    assert loaded is other
    assert notes == ()
    assert all(torch.equal(a, b) for a, b in zip(net.state_dict().values(), other.state_dict().values(), strict=True))


def test_the_given_network_may_have_or_lack_a_wrapper():
    net = randomised(CHAINS["both"]())
    tensors = dict(net.state_dict())
    inside = {f"model.{name}": tensor for name, tensor in tensors.items()}
    for given, target in (
        (inside, CHAINS["both"]()),
        (tensors, nn.DataParallel(CHAINS["both"]())),
        (tensors, torch.compile(CHAINS["both"](), backend="eager")),
    ):
        build(given, WHERE, None, target)
        assert torch.equal(target.state_dict().popitem()[1].cpu(), net.state_dict().popitem()[1])  # DataParallel moves


def test_what_does_not_fit_the_given_network_is_named():
    tensors = dict(Named().state_dict())
    renamed = {name.replace("head", "last"): tensor for name, tensor in tensors.items()}
    message = refusal(renamed, None, Named())
    assert "head.weight, head.bias are missing" in message
    assert "last.weight, last.bias are not the network's" in message
    misshapen = tensors | {"head.weight": torch.ones(3, 4)}
    assert "head.weight (3, 4) for (2, 4)" in refusal(misshapen, None, Named())
    many = {f"{name}x": tensor for name, tensor in tensors.items()}
    assert "and 13 more are missing" in refusal(many, None, Named())
    assert "activation: only for" in refusal(tensors, "relu", Named())


def shuffled(net, seed=0):
    items = list(net.state_dict().items())
    order = torch.randperm(len(items), generator=torch.Generator().manual_seed(seed)).tolist()
    return dict(items[place] for place in order)


@pytest.mark.parametrize("kind", CHAINS)
def test_numbers_in_names_tell_the_order(kind):
    net = randomised(CHAINS[kind]())
    loaded, _ = build(shuffled(net), WHERE, "relu", None, ordered=False)
    torch.testing.assert_close(loaded(ROWS), net(ROWS))
    names = {name.removesuffix(".weight") for name, p in net.named_parameters() if p.ndim == 2}
    assert [layer["name"] for layer in nfa.audit(loaded, ROWS).layers] == sorted(names, key=int)


def test_numbers_are_numbers():
    net = nn.Sequential(*itertools.chain.from_iterable((Linear(6, 6), ReLU()) for _ in range(7)))[:-1]
    loaded, _ = build(dict(sorted(net.state_dict().items())), WHERE, "relu", None, ordered=False)
    assert torch.equal(loaded(ROWS), net(ROWS))


def test_shapes_tell_the_order_where_names_do_not():
    net = randomised(Named())
    for seed in range(5):
        loaded, _ = build(shuffled(net, seed), WHERE, "relu", None, ordered=False)
        torch.testing.assert_close(loaded(ROWS), net(ROWS))


def test_an_order_that_nothing_tells_is_asked_for():
    square = {f"{name}.weight": torch.eye(6) for name in ("encoder", "decoder", "head")}
    message = refusal(square, ordered=False)
    assert "several orders" in message
    assert "--model package.module:factory" in message
    broken = {"a.weight": torch.ones(3, 5), "b.weight": torch.ones(4, 6)}
    assert "no order makes the shapes chain" in refusal(broken, ordered=False)


def test_hundreds_of_names_take_no_time():
    names = ["".join(letters) for letters in itertools.product("abcdef", repeat=3)]
    square = {f"{name}.weight": torch.ones(1, 1) for name in names} | {"odd.weight": torch.ones(2, 3)}
    assert "does not tell in which order" in refusal(square, ordered=False)


def test_what_stands_beside_the_network_is_left_out_and_named():
    net, given = nn.Linear(3, 2), nn.Linear(3, 2)
    tensors = {f"model.{name}": tensor for name, tensor in net.state_dict().items()}
    beside = {"criterion.weight": torch.ones(2), "n_averaged": torch.tensor(3)}
    built, notes = build(tensors | beside, Place("model", "net.ckpt"), None, given)
    assert torch.equal(built.weight, net.weight)
    assert notes == ("The network is what the file has under model; not used: criterion.weight, n_averaged.",)
    with pytest.raises(nfa.InputError, match="are missing"):
        build(tensors | {"model.extra.weight": torch.ones(2, 2)}, Place("model", "net.ckpt"), None, given)
