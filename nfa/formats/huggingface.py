"""Folders of Hugging Face, config.json beside safetensors, through transformers; never code of the folder's own."""

import importlib
import json
from pathlib import Path
from typing import Any

from torch import nn

from nfa.common.errors import Place
from nfa.common.extras import extra
from nfa.common.shown import few, shown
from nfa.network.model import Model

CONFIG = "config.json"


def read_folder(folder: Path, argument: str) -> Model:
    """Read the network that a folder's config.json names.

    Args:
        folder: An existing folder.
        argument: What messages call it.

    Raises:
        InputError: it is no such folder, its weights are not in safetensors, transformers is not installed, does not
            know the network or cannot read it.
    """
    where = Place(argument, str(folder))
    if not (folder / CONFIG).is_file():
        raise where.error(f"is a folder without {CONFIG}; give a file, or a folder of Hugging Face")
    if not any(folder.glob("*.safetensors")):
        raise where.error(
            "holds no weights in safetensors; net.save_pretrained(folder, safe_serialization=True) writes them"
        )
    name = _architecture(folder, where)
    with extra("transformers", argument, "folders of Hugging Face need"):
        transformers = importlib.import_module("transformers")
    kind: Any = getattr(transformers, name, None)
    if nn.Module not in getattr(kind, "__mro__", ()):
        raise where.error(f"is a {shown(name)}, which transformers does not have; code of a folder's own is never run")
    try:
        # What a network remembers of earlier tokens is an output that nobody asked for.
        config = transformers.AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        config.use_cache = False
        net = kind.from_pretrained(folder, config=config, local_files_only=True, use_safetensors=True)
    except Exception as error:  # transformers raises a dozen kinds at what it cannot read
        reason = shown((str(error).splitlines() or [type(error).__name__])[0], 200)
        raise where.error(f"cannot be read by transformers: {reason}") from error
    return Model(net.eval(), folder.name, notes=(f"Read by transformers {transformers.__version__} as {name}.",))


def _architecture(folder: Path, where: Place) -> str:
    try:
        said = json.loads((folder / CONFIG).read_text(encoding="utf-8"))["architectures"]
        name = said[0]
    except (OSError, ValueError, LookupError, TypeError, RecursionError) as error:
        raise where.within(CONFIG).error("does not name an architecture") from error
    if not isinstance(name, str) or not name.isidentifier() or len(said) > 1:
        raise where.within(CONFIG).error(
            f"names {few([str(each) for each in said])} as architecture, expected one class"
        )
    return name
