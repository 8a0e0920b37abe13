"""Turn the audits that users hand over into networks with one or several runs."""

import os
import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, count
from pathlib import Path

from nfa.audits.audit import Audit, LayerAudit
from nfa.audits.files import TABLE
from nfa.common.errors import InputError
from nfa.common.shown import few, writable

Folder = str | os.PathLike[str]
One = Audit | Folder
Audits = One | Sequence[One] | Mapping[str, One | Sequence[One]]
"""The audits that figures take: one, a folder of one or of several, a list of these, or a dict from names to them."""

_REPEAT = re.compile(r"(?i)(?:seed|run|trial|repeat|replicate)[-_= ]*\d+|\(\d+\)")
"""A part of a name in which runs of one network differ."""

_BARE = re.compile(r"[-_= ]*\d+")
"""A part that may be a seed, or a setting such as a batch size."""

_SAME = ("data", "split", "n_samples", "outputs", "n_outputs", "probes")
"""Fields in which the records of two runs of one network agree."""


@dataclass(frozen=True)
class Run:
    """One audit, and its name."""

    name: str
    audit: Audit


@dataclass(frozen=True)
class Network:
    """A network that was trained once, or several times from different seeds.

    Args:
        name: Its name in figures.
        runs: Its audits, all of the same layers.
    """

    name: str
    runs: tuple[Run, ...]


def networks(audits: Audits) -> tuple[Network, ...]:
    """Return audits as networks: runs of one architecture whose names differ in the seed alone belong together.

    Two runs are of one network if they have the same layers, shapes, data, rows, outputs and probes, and their names
    differ only in a part such as "seed-3" or "run 2"; or in a bare number, such as "2", where the seeds of all these
    audits differ (else it may be a setting, such as a batch size). A list in a dict is one network, whatever the names
    of its runs.

    Args:
        audits: An `Audit`, a folder that `nfa audit` wrote or one that holds such folders, a list of these, or a dict
            from names to them or to lists of them.

    Raises:
        InputError: no audit, an unreadable folder, one folder twice, runs of one name with different layers.

    >>> import nfa, torch
    >>> audit = nfa.audit(torch.nn.Linear(3, 2), torch.eye(3))
    >>> [(each.name, len(each.runs)) for each in networks({"digits, SGD": [audit, audit], "digits, Adam": audit})]
    [('digits, SGD', 2), ('digits, Adam', 1)]
    """
    found = _named(audits) if isinstance(audits, Mapping) else _pooled(_runs(_listed(audits)))
    if not found:
        raise InputError("audits", "got none, expected at least one")
    return found


def pooled(audits: Mapping[str, Audit]) -> tuple[Network, ...]:
    """Return named audits as networks; audits whose names differ in the seed alone belong together."""
    runs: dict[str, Run] = {}
    for given, audit in audits.items():
        name = _untaken(writable(given), runs)
        runs[name] = Run(name, audit)
    return _pooled(list(runs.values()))


def loaded(folders: Sequence[Folder]) -> dict[str, Audit]:
    """Return the audits of folders, named by the shortest ends of their paths that differ.

    Raises:
        InputError: a folder that holds no whole audit, or the same one twice.
    """
    places = [Path(folder) for folder in folders]
    whole = [place.resolve() for place in places]
    for place, resolved in zip(places, whole, strict=True):
        if whole.count(resolved) > 1:
            raise InputError("audits", f"{place} is named twice")
    depth = 1
    while len({each.parts[-depth:] for each in whole}) < len(whole) or _only_seeds(whole, depth):
        depth += 1
    return {"/".join(resolved.parts[-depth:]): Audit.load(place) for place, resolved in zip(places, whole, strict=True)}


def _only_seeds(whole: Sequence[Path], depth: int) -> bool:
    """Return whether names of so many parts differ in the seed alone, while the folders above name networks."""
    seeds = any(not _without_seed("/".join(each.parts[-depth:]), numbers=True) for each in whole)
    return seeds and len({each.parts[:-depth] for each in whole}) > 1


def layer_names(found: Sequence[Network]) -> list[str]:
    """Return the names of all layers, in forward order.

    Raises:
        InputError: the networks have different layers.
    """
    names = {network.name: [writable(layer["name"]) for layer in network.runs[0].audit] for network in found}
    (first, expected), *rest = names.items()
    for name, layers in rest:
        if layers != expected:
            raise InputError(
                "audits", f"{name} has the layers {few(layers)}, but {first} has {few(expected)}; expected the same"
            )
    return expected


def layer_of(audit: Audit, layer: str | int) -> LayerAudit:
    """Return a layer by name, or by number, which may be text unless a layer has it as its name.

    Raises:
        InputError: there is none.
    """
    if isinstance(layer, str) and layer.isdecimal() and layer not in {each["name"] for each in audit}:
        return audit[int(layer)]
    return audit[layer]


def one_run(found: Sequence[Network]) -> Audit:
    """Return the only audit of the only network.

    Raises:
        InputError: there are several.
    """
    runs = [run for network in found for run in network.runs]
    if len(runs) > 1:
        raise InputError("audits", f"got {len(runs)} audits ({few([run.name for run in runs])}), expected one")
    return runs[0].audit


def _named(audits: Mapping[str, One | Sequence[One]]) -> tuple[Network, ...]:
    found: list[Network] = []
    for name, given in audits.items():
        runs = _runs(_listed(given))
        for run in runs:
            if _layers(run.audit) != _layers(runs[0].audit):
                raise InputError("audits", f"{name} has runs of different layers, expected runs of one architecture")
        called = _untaken(writable(name), {network.name for network in found})
        if len(runs) == 1:
            runs = [Run(called, runs[0].audit)]
        if runs:
            found.append(Network(called, tuple(runs)))
    return tuple(found)


def _listed(given: One | Sequence[One]) -> list[One]:
    """Return one or several as a list; what is neither is one, which is refused later."""
    if isinstance(given, (Audit, str, os.PathLike)) or not isinstance(given, Iterable):
        return [given]
    return list(given)


def _runs(given: Sequence[One]) -> list[Run]:
    """Return audits with names: folders have their paths, others the names of their networks."""
    expanded: list[Audit | Path] = []
    for each in given:
        if isinstance(each, Audit):
            expanded.append(each)
        elif isinstance(each, (str, os.PathLike)):
            expanded += audited(Path(each))
        else:
            raise InputError("audits", f"got {type(each).__name__}, expected an Audit or the folder of one")
    read = iter(loaded([each for each in expanded if isinstance(each, Path)]).items())
    pairs = [(_called(each), each) if isinstance(each, Audit) else next(read) for each in expanded]
    times = Counter(name for name, _ in pairs)
    return [
        Run(name if times[name] == 1 else f"{name} ({number})", audit) for number, (name, audit) in enumerate(pairs)
    ]


def _called(audit: Audit) -> str:
    """Return an audit's name for its network: the folder of its file, or its class."""
    return writable(Path(audit.about.model).parent.name or audit.about.model)


def audited(folder: Path) -> list[Path]:
    """Return a folder that holds an audit, or the folders in it that do; a folder without any comes back as it is."""
    within = [] if (folder / TABLE).exists() else sorted(file.parent for file in folder.rglob(TABLE))
    return within or [folder]


def _pooled(runs: Sequence[Run]) -> tuple[Network, ...]:
    groups: dict[object, list[Run]] = {}
    for run in runs:
        key = (_without_seed(run.name, numbers=True), _layers(run.audit), _settings(run.audit))
        groups.setdefault(key, []).append(run)
    found: list[Network] = []
    for members, numbers in (each for group in groups.values() for each in _alike(group)):
        name = members[0].name if len(members) == 1 else _without_seed(members[0].name, numbers)
        name = name or _without_seed(_called(members[0].audit), numbers) or members[0].audit.about.model
        found.append(Network(_untaken(name, {network.name for network in found}), tuple(members)))
    return tuple(found)


def _untaken(name: str, taken: Collection[str]) -> str:
    """Return a name, or the first of "name #2", "name #3", ... that nothing else has: tables tell by names."""
    numbered = (f"{name} #{number}" for number in count(2))
    return next(each for each in chain([name], numbered) if each not in taken)


def _alike(runs: list[Run]) -> list[tuple[list[Run], bool]]:
    """Divide runs whose names differ in numbers into networks, each with whether bare numbers are seeds in it."""
    named: dict[str, list[Run]] = {}
    for run in runs:
        named.setdefault(_without_seed(run.name, numbers=False), []).append(run)
    numbers = [[part for part in _parts(run.name) if _REPEAT.fullmatch(part) or _BARE.fullmatch(part)] for run in runs]
    bare = all(len(each) == 1 and _BARE.fullmatch(each[0]) for each in numbers)
    if bare and len(named) == len({run.audit.about.seed for run in runs}) == len(runs):
        return [(runs, True)]
    return [(members, False) for members in named.values()]


def _parts(name: str) -> list[str]:
    return re.split(r"[/,]\s*|\s+(?=\(\d+\)$)", name)


def _without_seed(name: str, numbers: bool) -> str:
    """Return a name without the parts in which runs differ, bare `numbers` among them or not."""
    parts = [part for part in _parts(name) if not (_REPEAT.fullmatch(part) or (numbers and _BARE.fullmatch(part)))]
    return ", ".join(re.sub(r"(?i)[-_ ]*seed[-_= ]*\d+", "", part) for part in parts).strip(", ")


def _layers(audit: Audit) -> tuple[tuple[str, int, int], ...]:
    return tuple((layer["name"], layer["d_in"], layer["d_out"]) for layer in audit)


def _settings(audit: Audit) -> tuple[object, ...]:
    return tuple(getattr(audit.about, field) for field in _SAME)
