"""The network before training, as an audit needs it."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

from torch import Tensor

from nfa.audits.rows import Rows
from nfa.audits.scores import scored
from nfa.audits.settings import Settings
from nfa.common.errors import InputError
from nfa.features.factored import FactoredMatrix
from nfa.features.measuring import Measured
from nfa.features.row import OF_UNTRAINED
from nfa.features.weight import Weight, place_of
from nfa.network.examinable import unwrapped
from nfa.network.forward import Forward
from nfa.network.model import Model
from nfa.network.scoring import Score
from nfa.probe import Layer, Probe

COPY = "before training, init = copy.deepcopy(net) keeps it"
"""The call that makes the network before training."""

UNCHANGED = (
    "The network before training (init) has the same weights as the network, so that nothing can be said of what "
    "training changed."
)
"""What a record says of an init from which training has not gone away."""


@dataclass(frozen=True)
class Untrained:
    """One measurement of the network before training.

    Args:
        score: Its score, or None.
        layers: The layers that are measured in the network, by name.
        nfms: Their NFMs, by name.
        sums: The sums behind their AGOPs, by name; none where no column needs them.
    """

    score: Score | None
    layers: dict[str, Layer]
    nfms: dict[str, FactoredMatrix]
    sums: dict[str, Measured]


class Init:
    """The network before training, which does not change: it is measured once for audits of the same rows and settings.

    Args:
        model: The network, and what is known of its data.
    """

    def __init__(self, model: Model) -> None:
        self.model = model
        self._found: tuple[dict[str, tuple[int, ...]], Untrained] | None = None

    def beside(self, model: Model) -> Model:
        """Return the network, with a note where its weights are those before training.

        Raises:
            InputError: this is the network itself.
        """
        net, before = unwrapped(model.net), unwrapped(self.model.net)
        if before is net:
            raise InputError("init", "it is the network itself; copy.deepcopy(net) before training keeps that network")
        weights, others = dict(net.named_parameters()), dict(before.named_parameters())
        same = weights.keys() == others.keys() and all(_equal(each, others[name]) for name, each in weights.items())
        return replace(model, notes=(*model.notes, UNCHANGED)) if weights and same else model

    def measured(self, forward: Forward, rows: Rows, chosen: list[Layer], settings: Settings) -> Untrained:
        """Measure it on the network's rows, as far as columns need it.

        Args:
            forward: The network.
            rows: Its rows.
            chosen: The layers of the network to look at.
            settings: Those of the audit.

        Raises:
            InputError: it lacks one of these layers, has one in another shape, or cannot take the rows.
        """
        shapes = {layer.name: tuple(layer.weight.shape) for layer in chosen}
        if self._found is None or self._found[0] != shapes:
            self._found = shapes, self._measured(forward, rows, chosen, settings)
        return self._found[1]

    def _measured(self, forward: Forward, rows: Rows, chosen: list[Layer], settings: Settings) -> Untrained:
        own = settings.forward(self.model, rows)
        with _blamed(own, forward), Probe(own, rows.measured, settings.outputs, settings.groups) as probe:
            layers = _layers_of_init(probe, chosen)
            value, sums = None, {}
            # Most columns need its weights alone; it runs where one needs its gradients or its score.
            if settings.needs({*OF_UNTRAINED, "verdict"}):
                value = scored(self.model, own, rows)
                measured = settings.measure(probe, list(layers.values()), whole=False, label="measuring init")
                sums = {each.layer.name: each for each in measured}
                layers = {name: each.layer for name, each in sums.items()}
        places = {layer.name: place_of(layer.weight) for layer in chosen}  # which may be another device
        nfms = {name: FactoredMatrix(Weight(each.weight, place=places[name])) for name, each in layers.items()}
        return Untrained(value, layers, nfms, sums)


@contextmanager
def _blamed(init: Forward, net: Forward) -> Iterator[None]:
    """Turn errors within into errors of the init, since the network itself has taken the same rows."""
    try:
        yield
    except InputError as error:
        expected = {name: weight.shape for name, weight in net.net.named_parameters()}
        for name, weight in init.net.named_parameters():
            if weight.ndim > 1 and weight.shape != expected.get(name, weight.shape):
                layer = name.removesuffix(".weight")
                raise _other_shape(layer, weight.shape, expected[name]) from error
        if error.argument in ("data", "net", "y"):
            raise InputError("init", f"it cannot be measured on the network's rows ({error})") from error
        raise


def _equal(weight: Tensor, other: Tensor) -> bool:
    """Return whether two weights have the same shape and entries, wherever they lie."""
    return weight.shape == other.shape and bool((weight == other.to(weight.device)).all())


def _other_shape(layer: str, got: Sequence[int], expected: Sequence[int]) -> InputError:
    return InputError(
        "init", f"layer {layer} has shape {tuple(got)}, expected {tuple(expected)} as in the network; {COPY}"
    )


def _layers_of_init(probe: Probe, chosen: list[Layer]) -> dict[str, Layer]:
    """Return the chosen layers in the network before training, by name."""
    found = {layer.name: layer for layer in probe.layers}
    for layer in chosen:
        if layer.name not in found:
            raise InputError("init", f"it has no layer {layer.name!r}, which the network has; {COPY}")
        if found[layer.name].weight.shape != layer.weight.shape:
            raise _other_shape(layer.name, found[layer.name].weight.shape, layer.weight.shape)
    return {layer.name: found[layer.name] for layer in chosen}
