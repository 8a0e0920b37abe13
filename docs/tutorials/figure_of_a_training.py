# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # A paper-style figure from your own training run
#
# Audits while a network is trained, the figure of them over epochs, and the paper's figure of three seeds at the end, each similarity
# beside its null.
#
# To open this file as a notebook: `pip install jupytext`, then `jupytext --to notebook figure_of_a_training.py`. VS Code runs its cells as they are, and
# `python figure_of_a_training.py` all of them.

# %%
import copy

import torch
from sklearn.datasets import load_digits
from torch import nn

import nfa
from nfa import plots

X, y = (torch.as_tensor(each) for each in load_digits(return_X_y=True))
X = X.float() / 16

# %% [markdown]
# ## Train, and let a tracker watch
#
# The tracker is made before training, since it copies the network as it is then. `record` audits when an audit is due, and changes nothing
# in the training, to the bit.


# %%
def trained(seed):
    """A network trained for 20 epochs from a small initialisation, the same before, and what its tracker found."""
    torch.manual_seed(seed)
    net = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.mul_(0.3)
    before = copy.deepcopy(net)
    tracker = nfa.Tracker(net, (X, y), at=[0, 1, 2, 5, 10, 20], samples=256)
    tracker.record(epoch=0)
    optimizer = torch.optim.Adam(net.parameters(), 3e-3)
    for epoch in range(1, 21):
        for rows in torch.randperm(len(X)).split(256):
            loss = nn.functional.cross_entropy(net(X[rows]), y[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        tracker.record(epoch=epoch, loss=loss.item())
    return net, before, tracker


networks, inits, trackers = zip(*map(trained, range(3)), strict=True)
trackers[0]

# %% [markdown]
# ## Over epochs
#
# Each panel is a layer: cosine of NFM and AGOP, and of the NFM with the initialisation's, nulls dashed. Of several runs lines are means, and
# each run is a thin line.

# %%
figure = plots.training(list(trackers))
plots.save(figure, "training.pdf")
figure

# %% [markdown]
# ## At the end: the paper's figure
#
# `layers` takes a dict from names to audits, or to lists of runs. Points are the three seeds, bars their means, hatched what chance gives.

# %%
audits = [nfa.audit(net, (X, y), init=before) for net, before in zip(networks, inits, strict=True)]
axes = plots.layers({"digits, Adam": audits}, ax=plots.figure()[1])
plots.save(axes.figure, "layers.pdf")
axes.figure

# %% [markdown]
# The same of saved audits: `nfa figure runs/seed-* --kind layers --out layers.pdf`; of a saved tracker: `nfa figure runs/demo --kind training
# --out training.pdf`. [figures.md](../figures.md) has all kinds, [training.md](../training.md) the adapters to Lightning, skorch and transformers.
