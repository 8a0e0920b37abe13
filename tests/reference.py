"""An independent float64 reference: dense Jacobians by vmap(jacrev), dense matrices, numpy's linear algebra.

Nothing here is shared with the package but the network's weights and the definitions.
"""

import math

import numpy as np
import torch
import torch.nn.functional as F
from scipy import stats
from torch.func import jacrev, vmap

ACTIVATIONS = {
    "relu": F.relu,
    "leaky_relu": F.leaky_relu,
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "sine": torch.sin,
    "gelu": F.gelu,
    "silu": lambda z: z * torch.sigmoid(z),
    "elu": lambda z: torch.where(z > 0, z, torch.exp(z) - 1),
    "identity": lambda z: z,
}


def chosen(f, outputs):
    """The chosen outputs of one sample's f (c,)."""
    if outputs == "logits":
        return f
    if outputs.startswith("output:"):
        return f[int(outputs[7:])][None]
    if outputs == "probabilities":
        return torch.sigmoid(f) if len(f) == 1 else torch.softmax(f, 0)
    ordered = torch.sort(f, descending=True).values
    return ordered[:1] if outputs == "predicted" else (ordered[0] - ordered[1])[None]


def jacobians(net, X, outputs="logits"):
    """(W, J) of every layer of an nfa.MLP, W (k x d), J = df/dh (n x c x d), float64."""
    weights = [layer.weight.detach().double() for layer in net.layers]
    biases = [None if layer.bias is None else layer.bias.detach().double() for layer in net.layers]
    activation = ACTIVATIONS[net.activation]

    def rest(h, start):
        for i in range(start, len(weights)):
            h = F.linear(h, weights[i], biases[i])
            if i < len(weights) - 1:
                h = activation(h)
        return chosen(h, outputs)

    h = torch.as_tensor(X).double()
    found = []
    for i, W in enumerate(weights):
        J = vmap(jacrev(lambda row, i=i: rest(row, i)))(h)
        found.append((W.numpy(), J.numpy()))
        h = activation(F.linear(h, W, biases[i]))
    return found


def gradient_outer_product(J, centered=False):
    if centered:
        J = J - J.mean(0, keepdims=True)
    return np.einsum("ncd,nce->de", J, J) / len(J)


def power(M, alpha):
    values, vectors = np.linalg.eigh(M)
    kept = values > 1e-6 * values[-1]
    return (vectors[:, kept] * values[kept] ** alpha) @ vectors[:, kept].T


def cosine(A, B):
    norms = np.linalg.norm(A) * np.linalg.norm(B)
    return np.sum(A * B) / norms if norms > 0 else math.nan


def pearson(A, B):
    if A.size == 1:
        return math.nan
    return cosine(A - A.mean(), B - B.mean())


def rank(M):
    values = np.linalg.eigvalsh(M)
    return int((values > 1e-6 * values[-1]).sum())


def top(M, r):
    return np.linalg.eigh(M)[1][:, ::-1][:, :r]


def jackknife(W, J):
    """The infinitesimal jackknife of cosine(NFM, AGOP): its derivatives by the weights of 10 groups, by autograd."""
    N, n = W.T @ W, len(J)
    group = np.arange(n) % 10
    names = np.unique(group)
    theta = cosine(N, gradient_outer_product(J))
    if len(names) < 2 or math.isnan(theta):
        return math.nan, math.nan
    parts = torch.stack([torch.from_numpy(np.einsum("ncd,nce->de", J[group == g], J[group == g])) for g in names])
    weights = torch.ones(len(names), dtype=torch.float64, requires_grad=True)
    A = (weights[:, None, None] * parts).sum(0)
    ((torch.from_numpy(N) * A).sum() / np.linalg.norm(N) / A.norm()).backward()
    influence, h = weights.grad.numpy(), np.array([n / (group == g).sum() for g in names])
    error = math.sqrt(((h * influence) ** 2 / (h - 1)).mean())
    reach = stats.t.ppf(0.975, len(names) - 1) * error
    return max(-1, theta - reach), min(1, theta + reach)


DELTA = ("alignment", "alignment_null", "alignment_z")
"""What is asked of the weights' change, and of the untrained network."""


def nulls(W, S):
    """Moments of <C, OSO'> and the null of cosine(NFM, AGOP), from traces as in the algebra: O Haar on O(k)."""
    k, C = len(S), W @ W.T
    c1, c2, t1, t2 = np.trace(C), np.sum(C * C), np.trace(S), np.sum(S * S)
    b = (t2 - t1**2 / k) / ((k - 1) * (k + 2)) if k > 1 else 0.0
    a = (t1**2 - 2 * b * k) / k**2
    mean = t1 * c1 / k
    variance = a * c1**2 + 2 * b * c2 - mean**2
    square = (a + b) * c2 + b * c1**2
    return (mean, math.sqrt(max(0.0, variance))), t1 * c2 / k / math.sqrt(c2 * square)


def alignment(W, S):
    """The columns of the alignment of C = WW' and S."""
    C, (mean, sd) = W @ W.T, nulls(W, S)[0]
    norms = np.linalg.norm(C) * np.linalg.norm(S)
    if len(S) == 1 or sd < 1e-6 * norms:  # one unit, or a multiple of the identity
        return dict.fromkeys(("alignment", "alignment_null", "alignment_z", "alignment_excess"), math.nan)
    value, null = np.sum(C * S) / norms, mean / norms
    return {
        "alignment": value,
        "alignment_null": null,
        "alignment_null_sd": sd / norms,
        "alignment_z": (np.sum(C * S) - mean) / sd,
        "alignment_excess": (value - null) / (1 - null),
    }


def expected_rows(net, X, outputs="logits", init=None):
    """Every numeric column of an audit, from dense d x d matrices."""
    layers = jacobians(net, X, outputs)
    before = [None] * len(layers) if init is None else jacobians(init, X, outputs)
    rows = []
    for number, ((W, J), initial) in enumerate(zip(layers, before, strict=True)):
        k, d = W.shape
        N, A, Ac = W.T @ W, gradient_outer_product(J), gradient_outer_product(J, centered=True)
        # Same delta for every row: what sits between output and z does not depend on the sample.
        delta = J @ np.linalg.pinv(W)
        trivial = np.allclose(J, J[:1], rtol=1e-12, atol=1e-12) and (k >= d or np.allclose(delta, delta[:1]))
        trivial = trivial and len(J) > 1
        row = {"layer": number, "d_in": d, "d_out": k, "rows": len(J), "trivial": trivial}
        row["nfm_trace"], row["agop_trace"] = np.trace(N), np.trace(A)
        row["nfm_effective_rank"] = np.trace(N) ** 2 / np.sum(N**2)
        if np.any(A):
            alphas = [round(0.05 * i, 2) for i in range(1, 41)]
            cosines = [cosine(N, power(A, a)) for a in alphas]
            best = next(i for i, c in enumerate(cosines) if c >= max(cosines) - 1e-9)
            row["alpha_best"], row["cosine_alpha_best"] = alphas[best], cosines[best]
            row["alpha_linear"] = 1 / (len(layers) - number)
            row["cosine_alpha_linear"] = cosine(N, power(A, row["alpha_linear"]))
            row["cosine"], row["pearson"] = cosine(N, A), pearson(N, A)
            row["cosine_sqrt"], row["pearson_sqrt"] = cosine(N, power(A, 0.5)), pearson(N, power(A, 0.5))
            row["ci_low"], row["ci_high"] = jackknife(W, J)
            row["agop_effective_rank"] = np.trace(A) ** 2 / np.sum(A**2)
            r = min(10, rank(N), rank(A))
            row["subspace_overlap"] = np.sum((top(N, r).T @ top(A, r)) ** 2) / r
            row["subspace_overlap_null"] = r / d
            row["cosine_centered"] = cosine(N, Ac) if not trivial and len(J) > 1 else math.nan
            # With k <= d alone, J determines delta, and so S.
            S = np.einsum("nck,ncl->kl", delta, delta) / len(J)
            if k <= d:
                row |= alignment(W, S)
                _, row["rotated_cosine"] = nulls(W, S)
                low, high = jackknife(W.T, delta)
                defined = not math.isnan(row["alignment"])
                row["alignment_low"], row["alignment_high"] = (low, high) if defined else (math.nan, math.nan)
        if initial is not None:
            W0, J0 = initial
            N0, A0, dW = W0.T @ W0, gradient_outer_product(J0), W - W0
            row["untrained_cosine"], row["untrained_cosine_sqrt"] = cosine(N0, A0), cosine(N0, power(A0, 0.5))
            row["init_cosine"], row["init_pearson"], row["init_cosine_null"] = (
                cosine(N, N0),
                pearson(N, N0),
                k / (k + d),
            )
            row["delta_norm"] = np.linalg.norm(dW) / np.linalg.norm(W)
            row["delta_cosine"] = cosine(dW.T @ dW, A)
            row["moved"] = (1 - cosine(N, N0)) / (1 - k / (k + d)) if d > 1 else math.nan
            # dW in the audited layer: its gradient is delta dW, delta taken at the trained network.
            S = np.einsum("nck,ncl->kl", delta, delta) / len(J)
            if k <= d:  # only there does J determine delta
                delta_0 = J0 @ np.linalg.pinv(W0)
                before = alignment(W0, np.einsum("nck,ncl->kl", delta_0, delta_0) / len(J))
                row |= {f"untrained_{name}": before[name] for name in DELTA}
                if np.any(dW):
                    row |= {f"delta_{name}": value for name, value in alignment(dW, S).items() if name in DELTA}
                row["cnfa_cosine"] = cosine(dW.T @ dW, dW.T @ S @ dW)
                row["cnfa_pearson"] = pearson(dW.T @ dW, dW.T @ S @ dW)
        rows.append(row)
    return rows
