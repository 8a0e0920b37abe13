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
# # Audit a model you have
#
# A trained network, and the question whether its layers have learned features. Nothing is downloaded: the network is trained here, in
# seconds, as a stand-in for yours.
#
# To open this file as a notebook: `pip install jupytext`, then `jupytext --to notebook audit_a_model.py`. VS Code runs its cells as they are, and
# `python audit_a_model.py` all of them.

# %%
import copy

import torch
from sklearn.datasets import load_digits
from torch import nn

import nfa

X, y = (torch.as_tensor(each) for each in load_digits(return_X_y=True))
X = X.float() / 16
test = torch.arange(len(X)) % 5 == 0

torch.manual_seed(0)
net = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))
before = copy.deepcopy(net)  # keep the network as it was before training, if you can

optimizer = torch.optim.Adam(net.parameters(), 3e-3)
for _ in range(60):
    for rows in torch.randperm(int((~test).sum())).split(256):
        loss = nn.functional.cross_entropy(net(X[~test][rows]), y[~test][rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

# %% [markdown]
# ## One call
#
# Any `torch.nn.Module` will do, or a file (`.safetensors`, `.pt`, `.pt2`, `.onnx`, `.skops`). Inputs are as the network wants them. With
# targets the audit has a score; with the network before training it can say what has moved. The network comes back as it was.

# %%
audit = nfa.audit(net, (X[test], y[test]), init=before)
audit

# %% [markdown]
# ## Read a row
#
# The *alignment* says whether a layer's weight points where the output's gradients do. It stands beside its null, the same with the
# gradients turned at random: a similarity without its null says nothing. The *verdict* is a word for both together: `learned` is a layer
# whose weights have moved, and are aligned, in a network whose score shows that it has learned its task.

# %%
columns = ["name", "verdict", "alignment", "alignment_null", "alignment_z", "cosine", "rotated_cosine", "init_cosine"]
audit.to_frame()[columns]

# %%
for sentence in audit.sentences():
    print(sentence)

# %% [markdown]
# ## The matrices behind it
#
# What does the first layer look at? The diagonal of its AGOP has a number for each input: how much the outputs change with it.

# %%
layer = audit["0"]
layer.agop.diagonal().reshape(8, 8)

# %% [markdown]
# ## Keep it
#
# `audit.json` is the table, `features.safetensors` has the matrices, `report.html` is a page to send to somebody. `audit.methods()` is a
# paragraph for a paper.

# %%
audit.save("runs/mine")
audit.report("runs/mine")
print(audit.methods())

# %% [markdown]
# On the command line the same is `nfa audit MODEL --init MODEL0 --data DATA --out runs/mine`; [auditing.md](../auditing.md) has every option.
