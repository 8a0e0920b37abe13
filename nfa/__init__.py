"""Look inside trained networks: what each layer has learned, measured against its nulls."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from nfa.common.version import __version__

if TYPE_CHECKING:
    from nfa.audits.audit import Audit
    from nfa.audits.run import audit  # nfa.audits has a module of this name too
    from nfa.common import InputError
    from nfa.common.warned import (
        CategoryWarning,
        ConvergenceWarning,
        NfaWarning,
        SharedNetworkWarning,
        SingularKernelWarning,
    )
    from nfa.data import Dataset, load_data
    from nfa.features import FactoredMatrix, agop, nfm
    from nfa.formats import load, save_model
    from nfa.network import MLP, train
    from nfa.substitution import Substitution, substitute
    from nfa.tracking import Tracker


_PUBLIC = {
    "MLP": "nfa.network",
    "Audit": "nfa.audits",
    "CategoryWarning": "nfa.common.warned",
    "ConvergenceWarning": "nfa.common.warned",
    "Dataset": "nfa.data",
    "FactoredMatrix": "nfa.features",
    "InputError": "nfa.common",
    "NfaWarning": "nfa.common.warned",
    "SharedNetworkWarning": "nfa.common.warned",
    "SingularKernelWarning": "nfa.common.warned",
    "Substitution": "nfa.substitution",
    "Tracker": "nfa.tracking",
    "agop": "nfa.features",
    "audit": "nfa.audits",
    "load": "nfa.formats",
    "load_data": "nfa.data",
    "nfm": "nfa.features",
    "save_model": "nfa.formats",
    "substitute": "nfa.substitution",
    "train": "nfa.network",
}

_ROOMS = ("data", "formats", "network", "plots", "report", "rfm", "tracking")
"""Rooms whose names are reached as `nfa.ROOM.NAME`."""

__all__ = [
    "MLP",
    "Audit",
    "CategoryWarning",
    "ConvergenceWarning",
    "Dataset",
    "FactoredMatrix",
    "InputError",
    "NfaWarning",
    "SharedNetworkWarning",
    "SingularKernelWarning",
    "Substitution",
    "Tracker",
    "__version__",
    "agop",
    "audit",
    "load",
    "load_data",
    "nfm",
    "save_model",
    "substitute",
    "train",
]


def __getattr__(name: str) -> Any:
    """Import a public name when it is first asked for, so that `import nfa` and the command line start fast."""
    if name in _ROOMS:
        return import_module(f"nfa.{name}")
    if name not in _PUBLIC:
        raise AttributeError(f"module 'nfa' has no attribute {name!r}")
    return getattr(import_module(_PUBLIC[name]), name)


def __dir__() -> list[str]:
    """Name what is public, though most of it is not imported yet."""
    return sorted([*__all__, *_ROOMS])
