"""What every program of a random network begins and ends with: the formulas' helpers, and the comparison.

`plain` has the network's formulas in float64, nothing in place, where every product z = hW' goes through `tap`. There a
zero is added that needs gradients: its gradients are delta, without the package's probe. `compare` holds every layer's
S, traces and cosines against them. Patches are cut out position by position here, and attention is written out.
"""

IMPORTS = """
import itertools
import numpy as np, torch, nfa
import torch.nn.functional as F
from torch import nn
from torch.nn.utils import parametrizations, prune
from torch.utils.checkpoint import checkpoint
from torch.utils.data import DataLoader, StackDataset, TensorDataset
"""

FORMULAS = '''
def shifted(size, kernel, stride, dilation):
    """By position within a kernel, where it lies at each of its places along axes of some size."""
    for inner in itertools.product(*map(range, kernel)):
        yield tuple(
            slice(j * step, j * step + (places - 1) * s + 1, s)
            for j, step, s, places in zip(inner, dilation, stride, size, strict=True)
        )


def patches(x, kernel, stride, dilation):
    """Of n x c x positions, already padded, the patch under a kernel at each place, n x places x (c q q)."""
    size = [(n - (q - 1) * d - 1) // s + 1 for n, q, s, d in zip(x.shape[2:], kernel, stride, dilation, strict=True)]
    parts = [x[(slice(None), slice(None), *place)] for place in shifted(size, kernel, stride, dilation)]
    return torch.stack(parts, 2).flatten(1, 2).movedim(1, -1)


def laid_out(z, kernel, stride, dilation, padding, more):
    """Add up patches of k channels, n x positions x (k q q), where they lie: n x k x positions."""
    z = z.unflatten(-1, (-1, torch.Size(kernel).numel()))
    size, axes = z.shape[1:-2], zip(z.shape[1:-2], kernel, stride, dilation, more, strict=True)
    whole = [(n - 1) * s + (q - 1) * d + 1 + m for n, q, s, d, m in axes]
    found = z.new_zeros(len(z), z.shape[-2], *whole)
    for number, place in enumerate(shifted(size, kernel, stride, dilation)):
        part = torch.zeros_like(found)
        part[(slice(None), slice(None), *place)] = z[..., number].movedim(-1, 1)
        found = found + part
    return found[(slice(None), slice(None), *(slice(p, n - p) for p, n in zip(padding, whole, strict=True)))]


def attend(q, k, v, heads, mask=None):
    """Softmax attention of queries, keys and values (n x T x d), head by head."""
    q, k, v = (each.unflatten(-1, (heads, -1)).transpose(1, 2) for each in (q, k, v))
    scores = q @ k.mT / q.shape[-1] ** 0.5
    if mask is not None:
        scores = scores.masked_fill(mask, -torch.inf)
    return (scores.softmax(-1) @ v).transpose(1, 2).flatten(2)


def one_way(x, tap, P, name, end, kind):
    """The states (n x T x k) of a recurrent layer in one direction, step by step from zeros."""
    W, U = P[f"{name}.weight_ih{end}"], P[f"{name}.weight_hh{end}"]
    b, c = (P.get(f"{name}.bias_{part}{end}", 0.0) for part in ("ih", "hh"))
    h = cell = x.new_zeros(len(x), U.shape[1])
    states = []
    for t in range(x.shape[1])[:: -1 if end.endswith("reverse") else 1]:
        z, y = tap(f"{name}.weight_ih{end}", W, x[:, t]) + b, tap(f"{name}.weight_hh{end}", U, h) + c
        if kind == "RNN":
            h = torch.tanh(z + y)
        elif kind == "GRU":
            reset, update = (torch.sigmoid(p + q) for p, q in list(zip(z.chunk(3, 1), y.chunk(3, 1)))[:2])
            h = (1 - update) * torch.tanh(z.chunk(3, 1)[2] + reset * y.chunk(3, 1)[2]) + update * h
        else:
            i, f, g, o = (z + y).chunk(4, 1)
            cell = f.sigmoid() * cell + i.sigmoid() * g.tanh()
            h = o.sigmoid() * cell.tanh()
        states.append(h)
    return torch.stack(states[:: -1 if end.endswith("reverse") else 1], 1)


def earlier(T):
    """What attention may not see that only looks back."""
    return torch.ones(T, T, dtype=torch.bool).triu(1)


def reflected(A):
    """The orthogonal matrix of a product of reflections, whose vectors are the columns below the diagonal."""
    Q = torch.eye(len(A), dtype=A.dtype)
    for i in range(A.shape[1]):
        v = torch.cat([A.new_zeros(i), A.new_ones(1), A[i + 1 :, i]])
        Q = Q - 2 / (v @ v) * torch.outer(Q @ v, v)
    return Q[:, : A.shape[1]] * A.diagonal()
'''

COMPARE = '''
def right(tap, dtype=torch.float64):
    """The chosen outputs by the formulas, n x c."""
    P = {name: value.detach() for name, value in net.state_dict().items()}
    P = {name: value.to(dtype) if value.is_floating_point() else value for name, value in P.items()}
    f = plain(P, tap, *(x.to(dtype) if x.is_floating_point() else x for x in inputs))
    return chosen(f).reshape(len(inputs[0]), -1)


def matters(moved):
    """Whether any output depends on a layer that no gradient reaches."""
    def tap(name, W, h, groups=1):
        return h @ W.T + (1e-6 * torch.randn(*h.shape[:-1], len(W), dtype=torch.float64) if name == moved else 0)

    return not torch.equal(right(tap), right(lambda name, W, h, groups=1: h @ W.T))


def measured_by_hand(shake=0.0, dtype=torch.float64):
    """By layer: W and S from `plain`, and the rows; `shake` moves each z at random, by this share of its norm."""
    sites, blocks = [], {}

    def tap(name, W, h, groups=1):
        blocks[name] = torch.block_diag(*[torch.ones(len(W) // groups, len(W) // groups)] * groups)
        z = h @ W.T
        zero = (shake * z.detach().norm() * torch.randn_like(z)).requires_grad_()
        sites.append((name, W.detach(), zero))
        return z + zero

    with torch.enable_grad():
        f = right(tap, dtype)
        f = f + 0 * sum(zero.sum() for _, _, zero in sites)  # also where it depends on none
    S, rows, weights = {}, {}, {}
    for column in range(f.shape[1]):
        zeros = [zero for _, _, zero in sites]
        found = torch.autograd.grad(f[:, column].sum(), zeros, retain_graph=True, allow_unused=True)
        for (name, W, zero), gradient in zip(sites, found):
            D = (torch.zeros_like(zero) if gradient is None else gradient).reshape(-1, len(W))
            S[name] = S.get(name, 0) + D.T @ D
            if column == 0:
                rows[name] = rows.get(name, 0) + len(D)
                weights[name] = W
    return {name: (weights[name], S[name] * blocks[name] / rows[name], rows[name]) for name in S}


def unsteady(name, S):
    """How far S of a layer moves by rounding: of every z, and of all formulas in the network's own precision.

    A row on a kink, such as a ReLU at 1e-17, has one slope or the other by rounding alone; a sigmoid that is 1 to
    rounding has no slope at all.
    """
    others = [measured_by_hand(eps) for _ in range(3)]
    others.append(measured_by_hand(dtype=torch.float32 if eps > 1e-12 else torch.float64))
    return max(float((each[name][1] - S).norm()) for each in others)


def goes_elsewhere(name, rows):
    """Whether rounding alone sends another number of rows to a layer: of every z, or of all formulas in float32."""
    others = [measured_by_hand(4 * eps) for _ in range(5)]
    others += [measured_by_hand(dtype=torch.float32)] if eps > 1e-12 else []
    return any(each[name][2] != rows for each in others)


def compare():
    audit = nfa.audit(net, data, outputs=outputs, **options)
    by_hand = measured_by_hand()
    # If all that comes behind a layer without a gradient is dead, or nothing comes, it is dead as well.
    dead = {name for name in missing & set(by_hand) if not matters(name)}
    missing.difference_update(dead)
    routed.update(dead)
    skipped = {each["name"] for each in audit.skipped}
    table = {layer["name"] for layer in audit}
    # An expert that all rows go to is a layer like any other.
    assert table - routed == set(by_hand) - missing - routed, (table, set(by_hand) - missing, audit.skipped)
    assert missing | (routed - table) <= skipped, (missing, routed, audit.skipped)
    largest = max(float(S.norm()) for _, S, _ in by_hand.values())
    for layer in audit:
        W, S, rows = by_hand[layer["name"]]
        name = layer["name"]
        if name in routed and layer["rows"] != rows and (eps > 1e-4 or goes_elsewhere(name, rows)):
            continue  # by rounding alone another expert is a row's
        assert layer["rows"] == rows, (name, layer["rows"], rows)
        assert torch.allclose(layer.weight.double(), W, rtol=tolerance, atol=tolerance), name
        size = float(S.norm())
        N, A = W.T @ W, W.T @ S @ W
        # In half precision all of a small delta may be rounded to zero.
        if "cancel to rounding" in layer["note"] or (eps > 1e-4 and layer["agop_trace"] == 0):
            share = rounding + 20 * eps * size
            small = float(A.trace()) <= share * float(N.trace())
            assert small or unsteady(name, S) > size / 3, (name, float(A.trace()))
            continue
        difference = float((layer.S - S).norm())
        # Deltas that cancel in part keep the rounding of what cancelled, be it in a later layer.
        slack = tolerance + (20 * eps + 10 * eps * largest**0.5) / max(size, 1e-30) ** 0.5
        if difference > slack * size:
            slack += 2 * unsteady(name, S) / size
        assert difference <= slack * size, (name, "S", difference / max(size, 1e-300), size)
        if float(A.norm()) == 0:
            assert layer["agop_trace"] == 0 and layer["cosine"] != layer["cosine"], (name, layer.row)
            continue
        cosine = float((N * A).sum() / N.norm() / A.norm())
        spread = max(1.0, size * float(W.norm()) ** 2 / float(A.norm()))
        assert abs(layer["cosine"] - cosine) <= spread * slack, (name, layer["cosine"], cosine)
        for value, right in ((layer["agop_trace"], A.trace()), (layer["nfm_trace"], N.trace())):
            assert abs(value - float(right)) <= 2 * spread * slack * float(right), (name, value, float(right))
'''

TOLERANCE = {"float64": 1e-8, "float32": 1e-3, "float16": 0.03, "bfloat16": 0.2}
"""Of S and cosines, as a share, by the network's dtype."""
