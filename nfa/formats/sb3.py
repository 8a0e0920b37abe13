"""Agents that Stable-Baselines3 saved: a zip archive with the weights of all of an agent's networks.

What else it holds is partly pickled and is not opened; classes are known from the text that stands beside.
"""

import io
import json
import re
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from nfa.common.errors import InputError, Place
from nfa.common.shown import few, shown
from nfa.formats.archive import content_of, is_zip, open_archive
from nfa.formats.names import check_depth
from nfa.formats.weights.files import given_network
from nfa.formats.weights.places import state_dict_of, under
from nfa.formats.weights.state_dict import build, check_kinds
from nfa.formats.weights.torch_file import load_pickled
from nfa.network.mlp import ACTIVATIONS
from nfa.network.model import Model

WEIGHTS, ABOUT = "policy.pth", "data"
"""Members of the archive."""

ACTORS = (
    ("mlp_extractor.policy_net.", "action_net."),
    ("actor.latent_pi.", "actor.mu."),
    ("q_net.q_net.",),
)
"""Where the network that acts lies, by kind of agent: A2C and PPO; SAC, TD3 and DDPG (actor.mu alone); DQN."""

USUAL = {"common": "tanh", "dqn": "relu", "sac": "relu", "td3": "relu"}
"""What stands between the layers where an agent was not told otherwise, by the module of its policy."""

LARGEST = 1 << 24
"""Bytes of the text about an agent."""


def read_agent(
    file: Path, argument: str, activation: str | None, model: str | nn.Module | None, prefix: str | None
) -> Model:
    """Read the network that acts, or the one whose tensors begin with a prefix.

    Args:
        file: An existing file.
        argument: What messages call it.
        activation: What stands between the layers; by default what the file says, or what agents of its kind have.
        model: The network that the weights belong to.
        prefix: What the names of its tensors begin with, such as "critic.qf0".

    Raises:
        InputError: the file is damaged or of another kind, or its weights do not make a network.
    """
    where = Place(argument, str(file))
    tensors, about = _members(file, where)
    check_depth(tensors, where)
    check_kinds(tensors, where)
    notes: tuple[str, ...] = ()
    net = given_network(model)
    if prefix is not None:
        tensors, notes = under(tensors, prefix, where)
    elif net is None:
        tensors, notes = _actor(tensors, where)
    if net is None and activation is None:
        activation = _activation(about)
        notes = notes if activation is None else (*notes, f"Between its layers stands {activation}, as the file says.")
    built, said = build(tensors, where, activation, net)
    return Model(built.eval(), file.name, notes=(*notes, *said))


def agent_tensors(file: Path, where: Place) -> dict[str, Tensor]:
    """Return the weights of all of an agent's networks, by name.

    Raises:
        InputError: the file is damaged or of another kind.
    """
    return _members(file, where)[0]


def _members(file: Path, where: Place) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return the weights of all networks, and what the file says of the agent as text."""
    content = content_of(file, where)
    stream = io.BytesIO(content)
    if not is_zip(stream):
        raise where.error("is no zip archive")
    with open_archive(stream, len(content), where) as archive:
        if WEIGHTS not in archive.namelist():
            raise where.error(f"is no agent of Stable-Baselines3: there is no {WEIGHTS} in it")
        weights = archive.read(WEIGHTS)
        text = archive.read(ABOUT) if ABOUT in archive.namelist() else b"{}"
    found = load_pickled(io.BytesIO(weights), len(weights), where)
    try:
        about = json.loads(text) if len(text) <= LARGEST else {}
    except (ValueError, RecursionError):
        about = {}
    return state_dict_of(found, where)[1], about if isinstance(about, dict) else {}


def _actor(tensors: dict[str, Tensor], where: Place) -> tuple[dict[str, Tensor], tuple[str, ...]]:
    features = [name for name in tensors if name.startswith(("features_extractor.", "pi_features_extractor."))]
    for prefixes in ACTORS:
        own = {name: tensor for name, tensor in tensors.items() if name.startswith(prefixes)}
        if not own or features:
            continue
        rest = [name for name in tensors if name not in own]
        there = ", ".join(prefix[:-1] for prefix in prefixes if any(name.startswith(prefix) for name in own))
        said = f"The network is the one that acts ({there})"
        return own, (f"{said}; not used: {few(rest)}." if rest else f"{said}.",)
    if features:
        raise where.error(f"looks at its inputs by other layers ({shown(features[0])}); give the network with --model")
    names = few(list(dict.fromkeys(name.partition(".")[0] for name in tensors)), 6)
    raise InputError("prefix", f"say which network of {where.part} it is; names of its tensors begin with {names}")


def _activation(about: dict[str, Any]) -> str | None:
    """Return what the file says of the activation; None where it says nothing."""
    options, policy = about.get("policy_kwargs", {}), about.get("policy_class", {})
    if not isinstance(options, dict) or not isinstance(policy, dict):
        return None
    if "activation_fn" in options:
        found = re.search(r"([A-Za-z0-9]+)'>$", str(options["activation_fn"]))
        return {name.replace("_", ""): name for name in ACTIVATIONS}.get(found[1].lower()) if found else None
    parts = str(policy.get("__module__", "")).split(".")
    return USUAL.get(parts[1]) if len(parts) == 3 and parts[0] == "stable_baselines3" else None
