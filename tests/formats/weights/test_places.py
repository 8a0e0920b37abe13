"""Checkpoints that hold more than the network: which of their tensors are its own."""

import itertools

import pytest
import torch
from same import assert_same_audit
from torch import nn

import nfa

ROWS = torch.randn(40, 4, generator=torch.Generator().manual_seed(0))
OTHER_KEYS = ("net", "network", "weights", "params", "policy", "generator", "net_state_dict", "state_dict_ema")


def chain(*sizes):
    parts = [part for d, k in itertools.pairwise(sizes) for part in (nn.Linear(d, k), nn.Tanh())]
    return nn.Sequential(*parts[:-1])


class ActorCritic(nn.Module):
    def __init__(self, obs, act):
        super().__init__()
        self.actor, self.critic = chain(obs, 8, act), chain(obs, 8, 1)


def saved(path, content):
    torch.save(content, path)
    return path


def refusal(path, **options):
    with pytest.raises(nfa.InputError) as caught:
        nfa.load(path, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("given", [True, False])
@pytest.mark.parametrize("key", OTHER_KEYS)
def test_the_only_state_dict_in_a_checkpoint_is_the_network(key, given, tmp_path):
    net = chain(4, 8, 2)
    optimizer = torch.optim.Adam(net.parameters())
    net(ROWS).sum().backward()
    optimizer.step()
    content = {key: net.state_dict(), "epoch": 3, "optimizer": optimizer.state_dict()}
    path = saved(tmp_path / "net.pt", content)
    options = {"model": chain(4, 8, 2)} if given else {"activation": "tanh"}
    assert_same_audit(nfa.load(path, **options).net, net, ROWS)
    assert_same_audit(nfa.load(content, **options).net, net, ROWS)


def test_of_several_state_dicts_one_is_chosen(tmp_path):
    net, other, generator = chain(4, 8, 2), chain(4, 8, 2), chain(3, 8, 4)
    content = {"gan": {"g": generator.state_dict(), "d": net.state_dict()}, "ema": other.state_dict()}
    path = saved(tmp_path / "net.pt", content)
    for key, expected in (("gan.d", net), ("ema", other)):
        for options in ({"activation": "tanh"}, {"model": chain(4, 8, 2)}):
            assert_same_audit(nfa.load(path, key=key, **options).net, expected, ROWS)
    message = refusal(path, activation="tanh")
    assert "holds several state dicts (gan.g, gan.d, ema); choose one with --key gan.g (key='gan.g')" in message
    wrong = refusal(path, key="best", activation="tanh")
    assert wrong == f"key: {path} has no tensors under 'best'; there are some under gan.g, gan.d, ema"
    # A network that only one of them fits needs no key.
    content["gan"]["d"] = chain(4, 5, 2).state_dict() | {"extra": torch.ones(1)}
    del content["gan"]["g"]
    assert_same_audit(nfa.load(saved(path, content), model=chain(4, 8, 2)).net, other, ROWS)


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
@pytest.mark.parametrize(("obs", "act"), [(4, 2), (4, 4)])
def test_actor_and_critic_are_two_networks(obs, act, suffix, tmp_path):
    both = ActorCritic(obs, act)
    path = tmp_path / f"net{suffix}"
    if suffix == ".pt":
        torch.save(both.state_dict(), path)
    else:
        from safetensors.torch import save_file

        save_file(both.state_dict(), path)
    message = refusal(path, activation="tanh")
    assert "holds several chains of layers (actor, critic), which may be networks of their own; choose one" in message
    assert "--prefix actor (prefix='actor'), or give the network that it belongs to with --model" in message
    for prefix in ("actor", "actor."):
        loaded = nfa.load(path, prefix=prefix, activation="tanh")
        assert_same_audit(loaded.net, both.actor, ROWS)
        assert loaded.notes[0].startswith("The network is what the file has under actor; not used: critic.0.")
    assert_same_audit(nfa.load(path, prefix="critic", model=chain(obs, 8, 1)).net, both.critic, ROWS)
    with pytest.raises(
        nfa.InputError, match=r"^prefix: no name in .* begins with 'q\.'; they begin with actor, critic"
    ):
        nfa.load(path, prefix="q", activation="tanh")


def renamed(net, prefix):
    return {f"{prefix}.{name}": tensor for name, tensor in net.state_dict().items()}


def test_a_network_that_fits_twice_asks_for_the_prefix(tmp_path):
    one, two = chain(4, 8, 2), chain(4, 8, 2)
    path = saved(tmp_path / "net.pt", renamed(one, "q_net.q_net") | renamed(two, "q_net_target.q_net"))
    assert "under several prefixes (q_net.q_net, q_net_target.q_net); choose one with --prefix q_net.q_net" in refusal(
        path, model=chain(4, 8, 2)
    )
    assert_same_audit(nfa.load(path, model=chain(4, 8, 2), prefix="q_net_target.q_net").net, two, ROWS)
    # Of a prefix of two parts that fits alone.
    path = saved(path, renamed(one, "q_net.q_net") | renamed(chain(4, 5, 2), "q.q") | {"q_net.extra": torch.ones(1)})
    assert_same_audit(nfa.load(path, model=chain(4, 8, 2)).net, one, ROWS)
    path = saved(path, renamed(one, "q_net.q_net") | {"q_net.extra": torch.ones(1)})
    loaded = nfa.load(path, model=chain(4, 8, 2))
    assert_same_audit(loaded.net, one, ROWS)
    assert loaded.notes == ("The network is what the file has under q_net.q_net; not used: q_net.extra.",)


@pytest.mark.parametrize(
    ("names", "several"),
    [
        (["encoder.0", "encoder.2", "decoder.0", "decoder.2"], True),
        (["policy.pi.0", "policy.pi.2", "policy.vf.0", "policy.vf.2"], True),
        (["nets.0.0", "nets.0.2", "nets.1.0", "nets.1.2"], True),
        (["encoder.0", "encoder.2", "head"], False),
        (["blocks.0.0", "blocks.0.2", "blocks.1.0", "blocks.1.2", "blocks.1.4"], False),
    ],
)
def test_what_may_be_several_networks(names, several, tmp_path):
    path = saved(tmp_path / "net.pt", {f"{name}.weight": torch.eye(4) for name in names})
    if several:
        assert "holds several chains of layers" in refusal(path, activation="tanh")
    else:
        assert len(list(nfa.load(path, activation="tanh").net.parameters())) == len(names)


def test_what_is_said_of_weights_is_refused_beside_anything_else(tmp_path):
    for option in ("activation", "model", "key", "prefix"):
        with pytest.raises(nfa.InputError, match=f"^{option}: only for weights alone, not for Sequential$"):
            nfa.load(chain(4, 2), **{option: "net"})
    from safetensors.torch import save_file

    save_file(chain(4, 2).state_dict(), tmp_path / "net.safetensors")
    with pytest.raises(nfa.InputError, match=r"^key: only for files of weights \(\.pt, \.pth, \.ckpt\), not for"):
        nfa.load(tmp_path / "net.safetensors", key="net")


@pytest.mark.parametrize("kind", ["file", "safetensors", "state dict", "checkpoint"])
def test_init_is_a_copy_of_the_network_with_other_weights(kind, tmp_path):
    class Residual(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Linear(4, 4), nn.Linear(4, 2)

        def forward(self, x):
            return self.b(x + torch.relu(self.a(x)))

    before, net = Residual(), Residual()
    init = before.state_dict()
    if kind == "safetensors":
        from safetensors.torch import save_file

        save_file(init, tmp_path / "init.safetensors")
        init = tmp_path / "init.safetensors"
    elif kind != "state dict":
        init = saved(tmp_path / "init.pt", init if kind == "file" else {"net": init, "epoch": 0})
    kept = {name: value.clone() for name, value in net.state_dict().items()}
    audit, expected = nfa.audit(net, ROWS, init=init), nfa.audit(net, ROWS, init=before)
    assert audit.to_frame().equals(expected.to_frame())
    assert all(torch.equal(value, kept[name]) for name, value in net.state_dict().items())
    with pytest.raises(nfa.InputError, match=r"^init: the state dict does not fit .*: b\.weight, b\.bias are"):
        nfa.audit(net, ROWS, init={name: value for name, value in before.state_dict().items() if name[0] == "a"})


def test_numbers_beside_the_network_are_not_the_network(tmp_path):
    net = chain(4, 8, 2)
    content = {"epoch": torch.tensor(5), "losses": torch.ones(7), "net": net.state_dict()}
    path = saved(tmp_path / "net.pt", content)
    for loaded in (nfa.load(path, activation="tanh"), nfa.load(path, model=chain(4, 8, 2))):
        torch.testing.assert_close(loaded.net(ROWS), net(ROWS))


@pytest.mark.parametrize("option", ["prefix", "key"])
def test_of_several_networks_in_an_init_one_is_chosen_by_a_call_that_works(option, tmp_path):
    net, before = chain(4, 8, 2), chain(4, 8, 2)
    parts = {"a": before.state_dict(), "b": net.state_dict()}
    flat = {f"{part}.{name}": value for part, inside in parts.items() for name, value in inside.items()}
    path = saved(tmp_path / "init.pt", parts if option == "key" else flat)
    message = rf"choose one with --{option} a \(init=nfa\.load\(\.\.\., model=net, {option}='a'\)\)$"
    with pytest.raises(nfa.InputError, match=message):
        nfa.audit(net, ROWS, init=path)
    audit = nfa.audit(net, ROWS, init=nfa.load(path, model=net, **{option: "a"}))
    assert audit.to_frame().equals(nfa.audit(net, ROWS, init=before).to_frame())


@pytest.mark.parametrize("outputs", ["logits", "probabilities"])
def test_an_init_of_bare_weights_answers_as_the_network_does(outputs):
    def ended(net):
        return nfa.network.Model(net.eval(), "net", ending="sigmoid")

    def made():
        return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 1))

    before, net = made(), made()
    with torch.no_grad():
        before[2].bias.fill_(2.0)
        y = torch.sigmoid(net(ROWS)) + 0.05
    rows = (ROWS, y)
    audit = nfa.audit(ended(net), rows, init=before.state_dict(), outputs=outputs)
    expected = nfa.audit(ended(net), rows, init=ended(before), outputs=outputs)
    assert audit.init_score == expected.init_score
    assert audit.to_frame().equals(expected.to_frame())
