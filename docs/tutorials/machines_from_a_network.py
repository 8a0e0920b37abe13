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
# # Start kernel machines from a network
#
# A recursive feature machine (RFM) learns a feature matrix M for its kernel. A network's AGOP is such a matrix: are a layer's features good
# enough for a kernel machine, and does it pay to start from them?
#
# To open this file as a notebook: `pip install jupytext`, then `jupytext --to notebook machines_from_a_network.py`. VS Code runs its cells as they are, and
# `python machines_from_a_network.py` all of them.

# %%
import nfa
from nfa.network import train
from nfa.rfm import LayerwiseRFM, RFMClassifier

data = nfa.load_data("digits").divide(test=0.2, seed=0)
rows, held_out = data.part("train"), data.part("test")
scaled = data.scaled(nfa.data.Scaling.fit("max", rows.X))
X, y = scaled.part("train").X, scaled.part("train").y
X_test, y_test = scaled.part("test").X, scaled.part("test").y

net = nfa.MLP(64, 64, depth=2, n_outputs=10, init="factor:0.1")
training = train(net, scaled, epochs=30, lr=3e-3)
audit = nfa.audit(training.net, scaled, training.init)
audit

# %% [markdown]
# ## A machine for each layer
#
# `LayerwiseRFM` fits a kernel machine to the inputs of every layer; its M starts from that layer's AGOP. `score_frame` has the errors
# beside the network's own, and how like M is to NFM and AGOP.

# %%
machines = LayerwiseRFM.from_audit(audit, training.net, X, y, features="agop", n_iters=1)
frame = machines.score_frame(X_test, y_test)
frame[["name", "features", "n_iters", "error", "network_error", "cosine_nfm", "cosine_agop"]]

# %% [markdown]
# Beside it stand the other starts: the identity, which knows nothing of the network, is the one to beat. On the digits it does better, on
# other data it need not: `python -m analyses seeding` has measured four sets. A random matrix of the AGOP's spectrum is the worst.

# %%
frame[frame["n_iters"] == 0].pivot(index="name", columns="features", values="error").round(3)

# %% [markdown]
# ## A machine of its own
#
# An RFM on the inputs learns its M alone. Is it like what the network's first layer has learned?

# %%
machine = RFMClassifier(n_iters=2, random_state=0).fit(X, y)
print(f"RFM: {machine.score(X_test, y_test):.3f}, network: {audit.about.score.value:.3f}")

# %%
from nfa import plots  # noqa: E402

plots.features(audit, "layers.0", sample=X[0], M=machine)

# %% [markdown]
# `nfa seed MODEL --data DATA --out DIR` does this on the command line and writes the machines. Deep machines start from a network by
# `nfa.rfm.DeepRFM.from_network`: [From a network to machines](../networks-to-machines.md#deep-machines) says more.
