"""Look inside trained fully connected networks: what each layer has learned, measured against its nulls."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nfa.audited import Audit
    from nfa.auditing import audit
    from nfa.common import InputError
    from nfa.data import Dataset, load_data
    from nfa.features import FactoredMatrix, agop, nfm
    from nfa.network import MLP, load, save_model, train
    from nfa.substituted import Substitution
    from nfa.substituting import substitute

_PUBLIC = {
    "MLP": "nfa.network",
    "Audit": "nfa.audited",
    "Dataset": "nfa.data",
    "FactoredMatrix": "nfa.features",
    "InputError": "nfa.common",
    "Substitution": "nfa.substituted",
    "agop": "nfa.features",
    "audit": "nfa.auditing",
    "load": "nfa.network",
    "load_data": "nfa.data",
    "nfm": "nfa.features",
    "save_model": "nfa.network",
    "substitute": "nfa.substituting",
    "train": "nfa.network",
}

_ROOMS = ("data", "network", "plots", "report", "rfm")
"""What is reached as `nfa.ROOM.NAME`."""

__all__ = [
    "MLP",
    "Audit",
    "Dataset",
    "FactoredMatrix",
    "InputError",
    "Substitution",
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
