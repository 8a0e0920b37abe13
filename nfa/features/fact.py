"""The Features at Convergence Theorem (FACT): where training with weight decay rests, the loss's gradient fixes W'W.

At a rest point of L + (lambda / 2) |W|^2, dL/dW = -lambda W, so W'W = R with R = -(1/lambda) W' dL/dW.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from nfa.common.errors import InputError
from nfa.common.scale import unit_of
from nfa.data.targets import IGNORED
from nfa.features.similarity import cosine_of
from nfa.features.weight import place_of
from nfa.probe import BATCH_SIZE, Probe, within_blocks
from nfa.probe.gradients import gradients


def fact_columns(W: Tensor, gradient: Tensor, weight_decay: float | None) -> dict[str, float]:
    """Return how far W'W agrees with R.

    fact_cosine is the cosine of W'W and -W'G, fact_lambda = -<W, G> / |W|^2 the decay that fits best, fact_residual =
    |W'W - R| / |W'W|, and fact_rest = |G + lambda W| / |lambda W|. fact_rest is 0 where training rests; far from there
    the theorem says nothing. The last two are NaN where lambda is not known.

    Args:
        W: Weight, k x d.
        gradient: G = dL/dW of the mean loss without penalty, k x d.
        weight_decay: lambda, if known; above 0.

    Source: arXiv:2507.05644, the Features at Convergence Theorem.

    >>> import torch
    >>> W = torch.tensor([[1.0, 2.0]])
    >>> fact_columns(W, -0.5 * W, 0.5)
    {'fact_cosine': 1.0, 'fact_lambda': 0.5, 'fact_residual': 0.0, 'fact_rest': 0.0}
    """
    W, G = (each.detach().to(place_of(W), torch.float64) for each in (W, gradient))
    # Each in its own unit, so that fourth powers stay within float64.
    unit, gradient_unit = unit_of(W), unit_of(G)
    W, G = W / unit, G / gradient_unit
    ratio = gradient_unit / unit
    C = W @ W.T
    nfm_square = float((C * C).sum())
    inner = -float(((W @ G.T) * C).sum())  # <W'W, -W'G>
    square = float(((C @ G) * G).sum())  # |W'G|^2
    size = float((W * W).sum())
    residual = rest = math.nan
    if weight_decay and nfm_square > 0:
        D = W + ratio * G / weight_decay  # W'W - R = W'D
        residual = math.sqrt(max(0.0, float(((C @ D) * D).sum())) / nfm_square)
        rest = math.sqrt(float((D * D).sum()) / size)  # G + lambda W = lambda D
    return {
        "fact_cosine": cosine_of(inner, nfm_square, square),
        "fact_lambda": -ratio * float((W * G).sum()) / size if size > 0 else math.nan,
        "fact_residual": residual,
        "fact_rest": rest,
    }


def loss_gradients(probe: Probe, loss: Callable[[Tensor, Tensor], Tensor]) -> dict[str, Tensor]:
    """Return dL/dW of every layer (k x d, float64), L the mean loss over all samples.

    Args:
        probe: The network and the samples.
        loss: Maps outputs and targets of a batch to their mean loss.

    Raises:
        InputError: the data have no targets.
    """
    totals = {layer.name: torch.zeros_like(layer.weight, dtype=torch.float64) for layer in probe.layers}
    count = 0
    for batch in probe.samples.batches(BATCH_SIZE):
        if batch.y is None:
            raise InputError("loss", "the data have no targets")
        f, uses = probe.runner.run(batch.x, frozenset(totals), int(batch.samples.min()), keep_rows=True)
        # Without labels at positions that are ignored.
        terms = len(f) if batch.y.ndim < 2 or batch.y.is_floating_point() else int((batch.y != IGNORED).sum())
        if not terms:
            continue
        total = loss(f, batch.y.to(f.device)) * terms
        for use, gradient in zip(uses, gradients(total, uses), strict=True):
            if gradient is not None and use.kept is not None:
                delta = use.delta(gradient).to(torch.promote_types(gradient.dtype, torch.float32))
                totals[use.name] += within_blocks(use.kept.outer(delta), use.groups)
        count += terms
    processes = probe.samples.processes
    terms = sum(processes.gathered(count))
    return {name: processes.sum(total) / terms for name, total in totals.items()}
