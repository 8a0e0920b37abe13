"""Agents of Stable-Baselines3: archives in its layout, and its own where it is installed."""

import io
import itertools
import json
import zipfile

import pytest
import torch
from damage import assert_survives
from same import assert_same_audit
from torch import nn

import nfa

ROWS = torch.randn(30, 4, generator=torch.Generator().manual_seed(0))


def chain(activation, *sizes):
    parts = []
    for d, k in itertools.pairwise(sizes):
        parts += [nn.Linear(d, k), activation()]
    return nn.Sequential(*parts[:-1])


def named(net, *names):
    """Weights of a chain's linear layers under these names."""
    layers = [layer for layer in net if isinstance(layer, nn.Linear)]
    return {
        f"{name}.{leaf}": tensor
        for name, layer in zip(names, layers, strict=True)
        for leaf, tensor in layer.state_dict().items()
    }


def written(path, tensors, module="common", options=None):
    weights = io.BytesIO()
    torch.save(tensors, weights)
    about = {
        "policy_class": {":type:": "<class 'abc.ABCMeta'>", "__module__": f"stable_baselines3.{module}.policies"},
        "policy_kwargs": options or {},
        "gamma": 0.99,
    }
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("data", json.dumps(about))
        archive.writestr("policy.pth", weights.getvalue())
        archive.writestr("policy.optimizer.pth", b"never opened")
    return path


PI = ("mlp_extractor.policy_net.0", "mlp_extractor.policy_net.2", "action_net")
AGENTS = {
    "ppo": ("common", nn.Tanh, PI),
    "sac": ("sac", nn.ReLU, ("actor.latent_pi.0", "actor.latent_pi.2", "actor.mu")),
    "td3": ("td3", nn.ReLU, ("actor.mu.0", "actor.mu.2", "actor.mu.4")),
    "dqn": ("dqn", nn.ReLU, ("q_net.q_net.0", "q_net.q_net.2", "q_net.q_net.4")),
}


@pytest.mark.parametrize("kind", AGENTS)
def test_the_network_that_acts_is_read(kind, tmp_path):
    module, activation, names = AGENTS[kind]
    net, other = chain(activation, 4, 8, 6, 2), chain(activation, 4, 8, 6, 1)
    critic = [f"critic.qf0.{number}" for number in (0, 2, 4)]
    tensors = {"log_std": torch.zeros(2)} | named(net, *names) | named(other, *critic)
    path = written(tmp_path / "agent.zip", tensors, module)
    model = nfa.load(path)
    torch.testing.assert_close(model.net(ROWS), net(ROWS))
    assert [layer["name"] for layer in nfa.audit(model, ROWS)] == list(names)
    assert model.notes[0].startswith("The network is the one that acts (")
    assert "not used: log_std, critic.qf0.0.weight" in model.notes[0]
    assert model.notes[1] == f"Between its layers stands {activation.__name__.lower()}, as the file says."
    torch.testing.assert_close(nfa.load(path, prefix="critic.qf0").net(ROWS), other(ROWS))
    assert_same_audit(nfa.load(path, prefix="critic.qf0", model=chain(activation, 4, 8, 6, 1)).net, other, ROWS)


def test_the_activation_is_the_one_that_the_file_names(tmp_path):
    net = chain(nn.ReLU, 4, 8, 6, 2)
    options = {":serialized:": "gAR9lC4=", "activation_fn": "<class 'torch.nn.modules.activation.ReLU'>"}
    model = nfa.load(written(tmp_path / "agent.zip", named(net, *PI), options=options))
    torch.testing.assert_close(model.net(ROWS), net(ROWS))
    options["activation_fn"] = "<class 'my.Own'>"
    path = written(tmp_path / "agent.zip", named(net, *PI), options=options)
    with pytest.raises(nfa.InputError, match=r"^activation: the file holds weights alone"):
        nfa.load(path)
    torch.testing.assert_close(nfa.load(path, activation="relu").net(ROWS), net(ROWS))


def refused(path, words, **options):
    with pytest.raises(nfa.InputError, match=words) as caught:
        nfa.load(path, **options)
    assert "\n" not in str(caught.value)


def test_what_is_no_agent_or_has_other_layers(tmp_path):
    path = tmp_path / "agent.zip"
    path.write_bytes(b"x")
    refused(path, "agent.zip is no zip archive")
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("notes.txt", "something")
    refused(path, r"is no agent of Stable-Baselines3: there is no policy\.pth in it")
    tensors = named(chain(nn.Tanh, 4, 8, 6, 2), *PI)
    refused(
        written(path, {"features_extractor.cnn.0.weight": torch.ones(2, 2, 2, 2)} | tensors),
        r"looks at its inputs by other layers \(features_extractor\.cnn\.0\.weight\); give the network with --model",
    )
    refused(written(path, {"own.weight": torch.ones(2, 2)}), "^prefix: say which network of .* begin with own$")


def test_damaged_files(tmp_path):
    whole = written(tmp_path / "whole.zip", named(chain(nn.Tanh, 4, 8, 6, 2), *PI)).read_bytes()
    assert_survives(whole, ".zip", tmp_path, 100, d=4)


@pytest.mark.filterwarnings("ignore")
def test_as_stable_baselines_itself(tmp_path):
    library = pytest.importorskip("stable_baselines3")
    agent = library.PPO("MlpPolicy", "CartPole-v1", policy_kwargs={"activation_fn": nn.ReLU})
    agent.save(tmp_path / "agent.zip")
    expected = agent.policy.action_net(agent.policy.mlp_extractor.policy_net(ROWS))
    torch.testing.assert_close(nfa.load(tmp_path / "agent.zip").net(ROWS), expected)
