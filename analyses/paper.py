"""The authors' own settings for each analysis, as their published scripts have them, and what they would cost.

What is None the scripts do not say, or the text of arXiv:2212.13881 may say and is not known here; nothing is guessed.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from analyses.analysis import names
from nfa.common.checks import one_of

RATE = 1e12
"""Multiply-adds in a second that hours are reckoned with: a processor of many cores, or a small part of a GPU."""


@dataclass(frozen=True)
class Network:
    """How the authors train a network: squared error on one-hot classes, no biases.

    Args:
        width: Of every hidden layer.
        depth: Hidden layers.
        init: As `nfa.MLP` has it.
        optimizer: Its name.
        lr: Size of its steps.
        batch_size: Rows in a step.
        epochs: Passes over the rows.
    """

    width: int | None = None
    depth: int | None = None
    init: str | None = None
    optimizer: str | None = None
    lr: float | None = None
    batch_size: int | None = None
    epochs: int | None = None

    def cost(self, d: int, outputs: int, rows: int | None) -> float | None:
        """Return the multiply-adds of a training: 3 for each weight, row and epoch; None where a size is not known.

        >>> Network(width=10, depth=2, epochs=2).cost(d=5, outputs=1, rows=100)
        96000.0
        """
        if self.width is None or self.depth is None or self.epochs is None or rows is None:
            return None
        weights = d * self.width + (self.depth - 1) * self.width**2 + self.width * outputs
        return 3.0 * weights * rows * self.epochs


@dataclass(frozen=True)
class Machine:
    """How the authors fit an RFM: Laplace kernel, M the AGOP as it is.

    Args:
        bandwidth: L, in units of the rows.
        ridge: On the kernel matrix's diagonal; several are tried.
        updates: Of M.
    """

    bandwidth: float | None = None
    ridge: float | tuple[float, ...] | None = None
    updates: int | None = None

    def cost(self, d: int, outputs: int, rows: int | None) -> float | None:
        """Return the multiply-adds of a recursion; None where a size is not known.

        A fit is n d^2 + n^2 d + n^3 / 6 (rows times M, distances, a Cholesky factor), an AGOP n^2 d + n c d^2.

        >>> Machine(updates=1).cost(d=2, outputs=1, rows=6)
        324.0
        """
        if self.updates is None or rows is None:
            return None
        fit, agop = rows * d**2 + rows**2 * d + rows**3 / 6, rows**2 * d + rows * outputs * d**2
        fits = len(self.ridge) if isinstance(self.ridge, tuple) else 1
        return fits * ((self.updates + 1) * fit + self.updates * agop)


@dataclass(frozen=True)
class Setting:
    """An experiment of the authors'.

    Args:
        data: The data set, and what is done to it.
        d: Entries of a row; None where data sets differ.
        outputs: Classes, or targets.
        rows: Training rows.
        network: The network, if there is one.
        machine: The RFM, if there is one.
    """

    data: str
    d: int | None = None
    outputs: int | None = None
    rows: int | None = None
    network: Network | None = None
    machine: Machine | None = None


FACES = "CelebA, 96 x 96 pixels in three colours, each row of norm 1; as many rows of both classes, at most 25,000"

SETTINGS: dict[str, Setting] = {
    "ansatz_sweep": Setting(
        "SVHN, 80 % of its training rows", 3 * 32 * 32, 10, 58_605, Network(1024, 3, "default", "sgd", 0.1, 128, 501)
    ),
    "rfm_vs_network": Setting(
        f"{FACES}: glasses or not; 80 % of them to train on", 3 * 96 * 96, 2, None, Network(), Machine(10, 1e-3, 1)
    ),
    "low_rank": Setting(
        "product of two coordinates where a third is above 0, x ~ N(0, 0.25 I)", 20, 1, 4000, None, Machine(10, 1e-3, 5)
    ),
    "grokking": Setting(
        "STL-10, airplanes and trucks, a patch of 5 x 5 pixels; 80 % of them to train on",
        *(3 * 96 * 96, 10, None),
        Network(optimizer="sgd", lr=0.1, batch_size=1024, epochs=501),
        Machine(10, 1e-3, 5),
    ),
    "lottery_ticket": Setting(
        f"{FACES}: glasses or not; pixels whose diagonal entry of M is above 5 % of the range between its ends",
        *(3 * 96 * 96, 2, None, None),
        Machine(ridge=1e-3, updates=0),
    ),
    "simplicity_bias": Setting(
        "CIFAR-10 beside MNIST, 5,000 pairs of each class; 80 % of them to train on",
        *(3 * 32 * 64, 10, 40_000),
        Network(batch_size=100),
        Machine(ridge=1e-3, updates=1),
    ),
    "spurious_features": Setting(
        "CelebA, 96 x 96 pixels in three colours: lipstick or not, a mask from the features moved onto every picture",
        *(3 * 96 * 96, 2, None),
        Network(),
        Machine(),
    ),
    "tabular": Setting(
        "UCI sets, the authors' divisions; rows scaled to norm 1 and as they are",
        machine=Machine(10, (10.0, 1.0, 0.1, 0.01, 0.001), 4),
    ),
}
"""By analysis; of the others no setting is known here."""

UNKNOWN = "not known here"


def plan(name: str) -> list[str]:
    """Return the authors' setting of an analysis, line by line, and its cost.

    Raises:
        InputError: there is no analysis of this name.
    """
    if one_of("analysis", name, names()) not in SETTINGS:
        return [f"{name}: the authors' setting is {UNKNOWN}, or there is none."]
    setting = SETTINGS[name]
    sizes = {"entries of a row": setting.d, "outputs": setting.outputs, "training rows": setting.rows}
    return [
        f"{name}, as in the scripts of arXiv:2212.13881: {setting.data}.",
        _listed("data", sizes),
        *_models(setting),
    ]


def _models(setting: Setting) -> Iterator[str]:
    for what, model in (("network", setting.network), ("RFM, Laplace kernel, M not divided", setting.machine)):
        if model is None:
            continue
        yield _listed(what, vars(model))
        cost = None
        if setting.d is not None and setting.outputs is not None:
            cost = model.cost(setting.d, setting.outputs, setting.rows)
        if cost is None:
            yield f"{what}: cost {UNKNOWN}: a size that it depends on is missing."
        else:
            yield f"{what}: about {cost:.1e} multiply-adds, {cost / RATE / 3600:.2g} hours at {RATE:.0e} a second."


def _listed(what: str, values: dict[str, object]) -> str:
    """Return names and values as a line.

    >>> _listed("data", {"rows": 4000, "outputs": None})
    'data: rows 4000, outputs not known here.'
    """
    return f"{what}: {', '.join(f'{key} {UNKNOWN if value is None else value}' for key, value in values.items())}."
