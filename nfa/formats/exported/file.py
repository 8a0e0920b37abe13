"""Exported programs (`.pt2`): read by hand, so that nothing in the file is ever executed.

`torch.export.load` unpickles, evaluates expressions, looks operators up by any name and compiles guards.
None of this happens here. The graph is read from the file's JSON, weights are read as bytes, and only a few hundred
known functions of tensors are ever run.
"""

import io
import json
import zipfile
from pathlib import Path
from typing import Any

from torch import Tensor

from nfa.common.checks import check_finite
from nfa.common.errors import InputError, Place
from nfa.common.shown import few, shown
from nfa.formats.archive import content_of, open_archive, root_of
from nfa.formats.exported.check import check_program
from nfa.formats.exported.program import parse_program
from nfa.formats.exported.tensors import read_pickled_tensors, read_tensors
from nfa.formats.weights.pickled import scan
from nfa.formats.weights.torch_file import look_through
from nfa.network.model import Model

SCHEMAS = range(5, 9)
"""The major versions of torch.export's JSON that are known: torch 2.3 and later write them."""

OLD = "serialized_exported_program.json"
"""Where files from before torch 2.8 keep the JSON."""

COMPILED = (".so", ".o", ".cpp", ".cubin", ".dll", ".dylib")
"""Members that hold code."""


def read_pt2(file: Path, argument: str) -> Model:
    """Read a program that `torch.export.save` wrote.

    The network takes any number of rows, also where it was exported for a fixed batch, and runs in evaluation mode.
    Its layers have the names that they had in the module.

    Args:
        file: An existing file.
        argument: What messages begin with.

    Raises:
        InputError: the file is damaged; it holds anything that would have to be executed; it uses an
            operator that is no known function; it has several inputs or outputs; it answers a row
            differently alone and among others.
    """
    where = Place(argument, str(file))
    content = content_of(file, where)
    with open_archive(io.BytesIO(content), len(content), where) as archive:
        try:
            document, tensors, raw = _read(archive, where)
            _refuse_code(archive, raw, where)
            version = document["schema_version"]["major"]
            if version not in SCHEMAS:
                expected = f"{SCHEMAS[0]} to {SCHEMAS[-1]}"
                raise where.error(f"has schema version {shown(version)}, expected {expected}; export it anew")
            program = parse_program(document["graph_module"], where)
            net = program.network(tensors)
        except InputError:
            raise
        except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RuntimeError) as error:
            # The JSON lacks something or has too much; every place that reads it would need the same message.
            raise where.error("does not follow the format of torch.export.save") from error
    for name, parameter in net.named_parameters():
        check_finite(where.within(shown(name)), parameter)
    check_program(net, program, where)
    return Model(net, file.name, ending=program.ending, notes=program.notes)


def _read(archive: zipfile.ZipFile, where: Place) -> tuple[dict[str, Any], dict[str, Tensor], frozenset[str]]:
    """Return the JSON, all tensors by name, and the members that hold nothing but bytes of tensors."""
    names, root = archive.namelist(), root_of(archive)
    if OLD in names:
        tensors: dict[str, Tensor] = {}
        for member in ("serialized_state_dict.pt", "serialized_constants.pt"):
            tensors |= read_pickled_tensors(archive, member, where)
        return json.loads(archive.read(OLD)), tensors, frozenset()
    if f"{root}archive_format" not in names or archive.read(f"{root}archive_format") != b"pt2":
        raise where.error("was not written by torch.export.save")
    compiled = [name for name in names if name.endswith(COMPILED) or name.startswith(f"{root}data/aotinductor/")]
    if compiled:
        raise where.error(f"holds compiled code ({few(compiled)}), and none is run; save the exported program")
    if f"{root}byteorder" in names and archive.read(f"{root}byteorder") != b"little":
        raise where.error("was written on a big-endian machine; save it on a little-endian one")
    folder = f"{root}models/"
    models = [name.removeprefix(folder).removesuffix(".json") for name in names if name.startswith(folder)]
    if len(models) != 1:
        raise where.error(f"holds {len(models)} programs ({few(models)}), expected one")
    tensors, raw = read_tensors(archive, root, models[0], where)
    return json.loads(archive.read(f"{folder}{models[0]}.json")), tensors, raw


def _refuse_code(archive: zipfile.ZipFile, raw: frozenset[str], where: Place) -> None:
    """Refuse a file with a pickle that needs code, even if it is not used: another program would run it."""
    for member in archive.infolist():
        if member.filename in raw:
            continue
        content = archive.read(member)
        stream, inside = io.BytesIO(content), where.within(shown(member.filename))
        if content[:4] == b"PK\x03\x04" or member.filename.endswith(".pt"):
            findings = look_through(stream, len(content), inside)
        elif content[:1] == b"\x80" or member.filename.endswith(".pkl"):
            findings = scan(stream, len(content), inside)
        else:
            continue
        if findings.foreign:
            names = few(list(dict.fromkeys(findings.foreign)))
            raise inside.error(f"needs code to be opened ({names}), and none is run")
