"""Deep recursive feature machines for numbers."""

from nfa.rfm.deep.base import DeepRFM
from nfa.rfm.estimators.regressor import RFMRegressor


class DeepRFMRegressor(DeepRFM, RFMRegressor):
    """A network learned without backpropagation: recursive feature machines, random features between them.

    Rows X_1 are those of X scaled to norm 1. Layer l fits a recursive feature machine to X_l and the targets, and with
    its feature matrix M_l makes the next rows: X_(l+1) = Phi_l(M_l^(1/2) X_l), scaled to norm 1. The last machine
    predicts. The machines' parameters are those of `RFMRegressor`, with these besides:

    Args:
        depth: Machines; of depth 1 it is an `RFMRegressor` on rows scaled to norm 1, to the last bit.
        width: Random features of every map, or a list of depth - 1 numbers.
        feature_map: Phi, drawn once: "relu" random ReLU features; "gaussian" or "laplace" random Fourier features of
            these kernels, at the bandwidth of the layer's machine.
        n_iters: Updates of M in each machine: 1 in the paper; with 0, M is the identity and the maps learn nothing.
        M_init: A list of the first M of each machine.

    Attributes:
        layers_: `DeepLayer`s: `machine`, `M`, `history`, `feature_map` of each.
        collapse_: A data frame, three rows per layer (`at`: X, M^(1/2) X, Phi(M^(1/2) X)): `nc1`, `nc2` (see
            `neural_collapse`; NaN for numbers as targets), and in `note` why one is NaN.
        feature_importances_: Those of the first machine, for each column of X.
        M_, bandwidth_, history_, solver_: Those of the last machine, on its own rows, which `agop` is about too.

    Source: arXiv:2402.13728, Deep RFM.

    >>> import numpy as np
    >>> X = np.random.default_rng(0).normal(size=(200, 5))
    >>> model = DeepRFMRegressor(depth=2, width=64).fit(X, X[:, 0])
    >>> [layer.M.shape for layer in model.layers_]
    [(5, 5), (64, 64)]
    """
