"""The functional test of the ansatz: other feature matrices in the place of a network's NFMs."""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from nfa.audits.audit import Audit, LayerAudit
from nfa.audits.init import Init
from nfa.audits.rows import Rows, rows_of
from nfa.audits.run import audit_rows, with_targets
from nfa.audits.settings import Settings
from nfa.common.checks import number, positive
from nfa.common.errors import InputError
from nfa.common.progress import progress
from nfa.data.samples import in_order
from nfa.features.polar import Polar, Spectral
from nfa.formats.loading import load, load_init
from nfa.network.forward import ForwardArgs
from nfa.network.model import Model
from nfa.probe import BATCH_SIZE, Probe, activations
from nfa.substitution.agreement import Reference
from nfa.substitution.substitution import ALL, COLUMNS, CONTROLS, Substitution

ALPHAS = (0.1, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0)
"""Powers of the AGOP that are tried where none are given."""

MEASURE = "nfa.audit(net, data) measures this one"
"""The call that makes the audit that was expected."""

DRAWS = 5
"""Random matrices that are averaged over."""


def substitute(
    net: nn.Module | Model | Any,
    data: Any,
    audit: Audit | None = None,
    init: nn.Module | Model | Any | None = None,
    *,
    layers: str | None = None,
    alpha: float | Iterable[float] = ALPHAS,
    draws: int = DRAWS,
    seed: int = 0,
    forward_args: ForwardArgs | None = None,
    head: str | int | None = None,
    batch_size: int = BATCH_SIZE,
) -> Substitution:
    """Put powers of the AGOP in the place of a network's NFMs, and measure what the network still does.

    W becomes U_M M^(1/2), with U_M the polar factor of W M^(1/2) and M = AGOP^alpha at the NFM's Frobenius norm. It is
    the weight nearest to W whose NFM is M; for M = NFM it is W itself. This is done for each layer alone, then for all
    together. The controls live in W's row space too and have the same norm: the projector on that space (the directions
    U alone), init's NFM projected there, and random matrices of the NFM's spectrum. What counts is how far the score
    is above the projector's.

    A layer whose gradient is the same for every row (a head's for its logits) is left as it is: its AGOP is made of
    weights alone.

    Args:
        net: As for `nfa.audit`; it comes back as it was.
        data: As for `nfa.audit`; a loader must not shuffle. The AGOP is that of the train rows. Outputs are compared
            and scored on the test rows where the data have some, else on the part that the AGOP's rows are from.
        audit: An audit of this network, so that nothing is measured again; also the way to other outputs than logits,
            other rows, or random probes.
        init: The same network before training; an audit has its own.
        layers: A shell pattern of layer names; all (that the audit has) by default.
        alpha: Powers of the AGOP, above 0.
        draws: Random matrices to average over.
        seed: Of the random matrices.
        forward_args: As for `nfa.audit`.
        head: As for `nfa.audit`.
        batch_size: Samples at a time; no result depends on it.

    Raises:
        InputError: what `nfa.audit` raises; a power that is not above 0; an audit of another network, or without
            a layer that was asked for; targets that do not fit the outputs.

    >>> from nfa.network import MLP
    >>> X = torch.randn(40, 6, generator=torch.Generator().manual_seed(0))
    >>> found = substitute(MLP(6, 8, 1, 2), X, alpha=0.5, draws=1)
    >>> found.to_frame()[["name", "matrix"]].values.tolist()[:4]
    [['layers.0', 'nfm'], ['layers.0', 'agop'], ['layers.0', 'projector'], ['layers.0', 'random']]
    """
    powers = _powers(alpha)
    draws, seed = positive("draws", draws), positive("seed", seed, least=0)
    if audit is not None and not isinstance(audit, Audit):
        raise InputError("audit", f"got {type(audit).__name__}, expected what nfa.audit returns")
    if audit is not None and init is not None:
        raise InputError("init", "an audit is given, which knows its own: nfa.audit(net, data, init=init)")
    model = load(net, argument="net")
    settings = Settings(forward_args=forward_args, head=head, layers=layers, batch_size=batch_size)
    rows = with_targets(model, _rows(model, data, "train" if audit is None else audit.about.split), settings)
    if audit is None:
        audit = audit_rows(model, rows, None if init is None else Init(load_init(init, model)), settings)
    with Probe(settings.forward(model, rows), in_order(rows.scored)) as probe:
        places = [_place(audit[layer.name], layer.weight) for layer in _chosen(probe, audit, layers)]
        reference = Reference.of(probe, model, rows.scored_split, settings.batch_size)
        kinds = [("nfm", math.nan), *(("agop", power) for power in powers)]
        kinds += [(control, math.nan) for control in CONTROLS]
        if all(place.init is None for place in places):
            kinds.remove(("init", math.nan))
        table = _table(probe, places, kinds, reference, draws, seed, settings.batch_size)
    about = {
        "model": audit.about.model,
        "data": audit.about.data,
        "split": audit.about.split,
        "outputs": audit.about.outputs,
        "rows": rows.scored_split,
        "n": len(reference.f),
        "metric": None if reference.score is None else reference.score.metric,
        "baseline": None if reference.score is None else reference.score.baseline,
        "score_before": reference.before,
        "alpha": list(powers),
        "draws": draws,
        "seed": seed,
        "skipped": audit.skipped,
        "notes": [*model.notes, *rows.notes],
    }
    return Substitution(about, tuple(table))


def _powers(alpha: float | Iterable[float]) -> tuple[float, ...]:
    given = list(alpha) if isinstance(alpha, Iterable) and not isinstance(alpha, (str, bytes)) else [alpha]
    try:
        powers = tuple(number("alpha", each, above_zero=True) for each in given)
    except InputError as error:
        raise InputError("alpha", f"got {alpha!r}, expected a power above 0, or several") from error
    if not powers:
        raise InputError("alpha", f"got {alpha!r}, expected a power above 0, or several")
    return powers


def _rows(model: Model, data: Any, measured: str) -> Rows:
    try:
        return rows_of(model, data, measured)
    except InputError as error:
        if error.argument != "split":
            raise
        raise InputError("audit", f"of {measured} rows, but {error.problem}") from error


def _chosen(probe: Probe, audit: Audit, pattern: str | None) -> list[Any]:
    known = {layer["name"] for layer in audit}
    chosen = probe.choose(pattern)
    for layer in chosen:
        if pattern is not None and layer.name not in known:
            raise InputError("audit", f"it has no layer {layer.name!r}, which was asked for")
    found = [layer for layer in chosen if layer.name in known]
    if not found:
        raise InputError(
            "audit", f"of another network: it has {', '.join(known)}, none of which this one has; {MEASURE}"
        )
    return found


@dataclass(frozen=True, eq=False)
class _Place:
    """A layer, and the matrices that can take its NFM's place; `reason` says why none can."""

    name: str
    number: int
    polar: Polar
    agop: Spectral
    init: Spectral | None
    reason: str

    def weight(self, matrix: str, alpha: float, seed: tuple[int, int]) -> Tensor | None:
        """Return the weight (k x d, float64) that a matrix makes; None where the matrix is 0."""
        polar = self.polar
        if matrix == "nfm":
            return polar.weight(polar.nfm)
        if matrix == "agop":
            M: Spectral | None = self.agop.scaled(1.0).power(alpha)
        elif matrix == "random":
            entropy = np.random.SeedSequence((*seed, self.number)).generate_state(1, np.uint64)
            M = polar.random(torch.Generator().manual_seed(int(entropy[0])))
        else:
            M = polar.projector if matrix == "projector" else self.init
        return None if M is None or M.rank == 0 else polar.weight(M.scaled(polar.nfm.size))


def _place(layer: LayerAudit, weight: Tensor) -> _Place:
    name = layer["name"]
    if not layer.is_of(weight):
        raise InputError("audit", f"of another network: its weight of layer {name} is not that of net; {MEASURE}")
    polar = Polar(weight)
    agop = polar.agop(layer.S)
    init = None if layer.init_weight is None else polar.projected(layer.init_weight.T)
    reason = ""
    if polar.rank == 0:
        reason = "the weight is zero"
    elif agop.rank == 0:
        reason = "dead: the outputs do not depend on this layer on any row"
    elif layer["trivial"]:
        reason = "trivial: its gradient is the same for every row, so its AGOP is made of weights alone"
    return _Place(name, layer["layer"], polar, agop, init, reason)


def _table(
    probe: Probe,
    places: list[_Place],
    kinds: list[tuple[str, float]],
    reference: Reference,
    draws: int,
    seed: int,
    batch_size: int,
) -> list[dict[str, Any]]:
    live = [place.name for place in places if not place.reason]
    # Name, the layers that get another weight (none where one cannot), and a note.
    units = [(place.name, [place.name] if place.name in live else [], place.reason) for place in places]
    if len(live) > 1:
        left = ", ".join(place.name for place in places if place.reason)
        units.append((ALL, live, f"without {left}" if left else ""))
    tables: list[list[dict[str, Any]]] = [[] for _ in units]
    passes = sum(draws if matrix == "random" else 1 for matrix, _ in kinds) * sum(bool(names) for _, names, _ in units)
    with progress("substituting", passes * len(reference.f)) as advance:
        for matrix, alpha in kinds:
            count = draws if matrix == "random" else 1
            results: list[list[dict[str, Any]]] = [[] for _ in units]
            for draw in range(count):
                weights = {p.name: p.weight(matrix, alpha, (seed, draw)) for p in places if p.name in live}
                for result, (_, names, _) in zip(results, units, strict=True):
                    if names:
                        new = {name: weights[name] for name in names}
                        result.append(_result(probe, new, matrix, reference, batch_size, advance))
            for table, result, (name, names, reason) in zip(tables, results, units, strict=True):
                row = {"name": name, "layers": max(1, len(names)), "matrix": matrix, "alpha": alpha, "draws": count}
                row |= {"score_before": reference.before} | _averaged(result)
                notes = (reason, *dict.fromkeys(each["note"] for each in result), reference.note)
                row["note"] = "; ".join(note for note in notes if note)
                table.append({column: row.get(column, math.nan) for column in COLUMNS})
    for table in tables:
        floor = next(row["score"] for row in table if row["matrix"] == "projector")
        for row in table:
            row["above_projector"] = row["score"] - floor
    return [row for table in tables for row in table]


def _result(
    probe: Probe,
    weights: dict[str, Tensor | None],
    matrix: str,
    reference: Reference,
    batch_size: int,
    advance: Callable[[int], None],
) -> dict[str, Any]:
    """Return the agreement of a network with other weights; None in the place of one stands for a matrix that is 0."""
    new = {name: W for name, W in weights.items() if W is not None}
    if missing := [name for name in weights if name not in new]:
        advance(len(reference.f))
        return {"note": f"{matrix} is 0 in the row space of {', '.join(missing)}"}
    try:
        outputs = activations(probe, (), new, batch_size, advance).outputs
    except InputError as error:
        # It ran with its own weights, so these weights make outputs beyond the range of its dtype.
        return {"note": f"with these weights {error}"}
    return reference.agreement(outputs) | {"note": ""}


def _averaged(results: list[dict[str, Any]]) -> dict[str, float]:
    """Return the means over draws, and the standard deviation of the score."""
    if not results or not all("score" in result for result in results):
        return {}
    found = {key: float(np.mean([result[key] for result in results])) for key in results[0] if key != "note"}
    if len(results) > 1:
        found["score_std"] = float(np.std([result["score"] for result in results], ddof=1))
    return found
