"""Exported programs to tamper with: their archives' members, their JSON, and traps to put in."""

import io
import json
import os
import zipfile

import pytest
import torch
from torch import nn

import nfa

ROWS = torch.randn(8, 6, generator=torch.Generator().manual_seed(2))


class Trap:
    """Unpickling it creates a folder."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def refusal(path):
    with pytest.raises(nfa.InputError) as caught:
        nfa.load(path)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def saved(content, **options):
    stream = io.BytesIO()
    torch.save(content, stream, **options)
    return stream.getvalue()


def rewrite(path, change=None, **more):
    """Change members of the archive by their name after its folder, and add some."""
    out = io.BytesIO()
    with zipfile.ZipFile(path) as before, zipfile.ZipFile(out, "w") as after:
        root = before.namelist()[0].split("/")[0]
        for name in before.namelist():
            short = name.split("/", 1)[1]
            content = before.read(name)
            after.writestr(name, content if change is None else change(short, content))
        for short, content in more.items():
            after.writestr(f"{root}/{short}", content)
    path.write_bytes(out.getvalue())


def edit(path, member, change):
    """Change a JSON member in place."""

    def changed(name, content):
        if name != member:
            return content
        document = json.loads(content)
        change(document)
        return json.dumps(document).encode()

    rewrite(path, changed)


def edit_graph(path, change):
    edit(path, "models/model.json", lambda document: change(document["graph_module"]["graph"]))


def edit_old(path, change):
    """Change the JSON of a file as torch wrote it before 2.8."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    document = json.loads(members["serialized_exported_program.json"])
    change(document)
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in (members | {"serialized_exported_program.json": json.dumps(document).encode()}).items():
            archive.writestr(name, content)


def skip_older_archives(path):
    with zipfile.ZipFile(path) as archive:
        if "serialized_exported_program.json" in archive.namelist():
            pytest.skip("this torch writes the older archive")


def small_program(path):
    """A program with a dynamic batch, so that its JSON has expressions, and a buffer kept among the constants."""
    net = nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 3))
    net.register_buffer("unused", torch.ones(2), persistent=False)
    program = torch.export.export(net, (ROWS,), dynamic_shapes=({0: torch.export.Dim("batch")},))
    torch.export.save(program, path)
    skip_older_archives(path)
    return path


def old_format(path, trap=None, member=None):
    """The file as torch wrote it before 2.8."""
    from torch._export.serde.serialize import serialize

    program = torch.export.export(nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 3)), (ROWS,))
    artifact = serialize(program)
    members = {
        "version": b"8.20",
        "serialized_exported_program.json": artifact.exported_program,
        "serialized_state_dict.pt": artifact.state_dict,
        "serialized_constants.pt": artifact.constants,
        "serialized_example_inputs.pt": artifact.example_inputs,
    }
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, saved({"0.weight": trap}) if name == member else content)
    return program.module()
