"""Damage that knows the format of a file: sizes that lie, names twice, parts of other files, tensors that overlap."""

import io
import json
import pickle
import random
import struct
import warnings
import zipfile
from collections.abc import Callable

import onnx
import torch
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from torch import Tensor

from nfa.formats.onnx.operators import OPERATORS

Change = Callable[[random.Random], tuple[str, bytes]]

NUMBERS = (0, 1, -1, 2, 3, 7, 1000, 2**31, 2**32 + 1, 2**40, 2**62, 2**63 - 1, 2**63, 2**64, -(2**63))
NAMES = ("", ".", "..", "a" * 300, "x." * 3000 + "y", "\x1b[31mred", "line\nline", "é" * 40, "0", "weight", "__class__")
VALUES: tuple[object, ...] = (None, True, [], {}, "text", 1.5, *NUMBERS, *NAMES)


def of_safetensors(whole: bytes) -> Change:
    """Damage of the header, and of where it says that tensors are."""
    length = int.from_bytes(whole[:8], "little")
    header, data = json.loads(whole[8 : 8 + length]), whole[8 + length :]

    def change(draw: random.Random) -> tuple[str, bytes]:
        found = json.loads(json.dumps(header))
        names = [name for name in found if name != "__metadata__"]
        name, other = draw.choice(names), draw.choice(names)
        kind = draw.choice(("renamed", "value", "twice", "offsets", "overlap", "length", "nested", "hole", "shape"))
        more = data
        if kind == "renamed":
            found = {(each if each != name else draw.choice((*NAMES, f"{name}x"))): found[each] for each in found}
        elif kind == "value":
            found[name][draw.choice(("dtype", "shape", "data_offsets"))] = draw.choice((*VALUES, "F64", "F16", "I64"))
        elif kind == "offsets":
            found[name]["data_offsets"][draw.randrange(2)] = draw.choice(NUMBERS)
        elif kind == "overlap":
            found[name]["data_offsets"] = found[other]["data_offsets"] if name != other else [0, 4]
        elif kind == "hole":
            at = draw.randrange(len(data) + 1)
            more = data[:at] + draw.randbytes(draw.choice((1, 4, 64))) + data[at:]
        elif kind == "shape":
            found[name]["shape"] = draw.choice(([2**40, 0], [2**32, 2**32], [*found[name]["shape"][::-1], 1], [-1, -1]))
        elif kind == "nested":
            found["__metadata__"] = {"a": draw.choice(("[" * 50_000, {"b": {}}, [1], "x" * 100_000))}
        text = json.dumps(found)
        if kind == "twice":
            text = text[:-1] + "," + json.dumps({name: found[other]})[1:]
        if kind == "nested" and draw.random() < 0.5:
            text = "[" * draw.choice((200, 100_000)) + text
        said = draw.choice(NUMBERS[2:]) % 2**64 if kind == "length" else len(text.encode())
        return kind, struct.pack("<Q", said) + text.encode() + more

    return change


def of_torch(whole: bytes, tensors: dict[str, Tensor]) -> Change:
    """Damage of the archive's members, and contents that are no state dict."""

    def change(draw: random.Random) -> tuple[str, bytes]:
        name = draw.choice(list(tensors))
        kind = draw.choice(("members", "members", "pickle", "names", "views", "others", "nested"))
        if kind == "members" and whole[:2] == b"PK":
            return members_changed(whole, draw)
        if kind == "pickle" and whole[:2] == b"PK":
            return _pickle_changed(whole, draw)
        found: dict[object, object] = dict(tensors)
        if kind == "names":
            found = {(each if each != name else draw.choice((*NAMES, 7, None))): found[each] for each in found}
        elif kind == "views":
            base = torch.arange(40.0)
            views = (base.as_strided(tensors[name].shape, [0] * tensors[name].ndim), base.expand(1000, 40), base[3:4])
            found[name] = draw.choice((*views, tensors[name].t(), torch.zeros(0, 3), torch.tensor(1.0)))
        elif kind == "nested":
            deep: object = 1
            for _ in range(draw.choice((10, 300))):
                deep = [deep] if draw.random() < 0.5 else {"a": deep}
            found["extra"] = deep
        else:
            odd = (torch.zeros(2, 2).to_sparse(), torch.zeros(2, dtype=torch.complex64), io.StringIO, random.Random, 1)
            found[name] = draw.choice(odd)
        stream = io.BytesIO()
        torch.save(found, stream)
        return kind, stream.getvalue()

    return change


def of_onnx(whole: bytes) -> Change:
    """Fields that say something else: other sizes, other names, other operators, nothing; nodes and tensors twice."""
    odd: dict[int, tuple[object, ...]] = {
        FieldDescriptor.CPPTYPE_INT64: tuple(each for each in NUMBERS if -(2**63) <= each < 2**63),
        FieldDescriptor.CPPTYPE_INT32: (0, 1, -1, 2, 7, 1000, 2**31 - 1),
        FieldDescriptor.CPPTYPE_ENUM: tuple(range(1, 12)),
        FieldDescriptor.CPPTYPE_FLOAT: (0.0, 1.0, -1.0, 1e38, float("nan"), float("inf")),
    }

    def change(draw: random.Random) -> tuple[str, bytes]:
        model = onnx.load_from_string(whole)
        graph = model.graph
        if draw.random() < 0.3:
            kind = draw.choice(("node twice", "tensor twice", "node lost", "tensor lost", "branch"))
            holder = graph.node if "node" in kind or kind == "branch" else graph.initializer
            at = draw.randrange(len(holder))
            if kind == "branch":
                holder[at].op_type = draw.choice(("If", "Loop", "Scan"))
                body = holder[at].attribute.add(name="body", type=onnx.AttributeProto.GRAPH)
                body.g.CopyFrom(onnx.load_from_string(whole).graph)
            elif "lost" in kind:
                del holder[at]
            else:
                holder.add().CopyFrom(holder[at])
            return kind, model.SerializeToString()
        texts = [*NAMES, "Loop", *OPERATORS]
        texts += [name for node in graph.node for name in (*node.input, *node.output)]
        for message, field in draw.sample(list(_fields(model)), draw.choice((1, 1, 2))):
            values = getattr(message, field.name)
            new = draw.choice(odd.get(field.cpp_type, tuple(texts)))
            if field.type == FieldDescriptor.TYPE_BYTES:
                new = draw.randbytes(draw.choice((0, 1, 8, 120)))
            if not field.is_repeated:
                setattr(message, field.name, new)
            elif len(values) and draw.random() < 0.7:
                values[draw.randrange(len(values))] = new
            else:
                values.append(new)
        return "fields", model.SerializeToString()

    return change


def of_exported(whole: bytes) -> Change:
    """Damage of the archive's members and of their JSON."""

    def change(draw: random.Random) -> tuple[str, bytes]:
        return json_changed(whole, draw) if draw.random() < 0.7 else members_changed(whole, draw)

    return change


of_skops = of_exported


def members_changed(whole: bytes, draw: random.Random) -> tuple[str, bytes]:
    """Rewrite an archive with one member lost, renamed, cut, doubled, compressed or exchanged."""
    with zipfile.ZipFile(io.BytesIO(whole)) as archive:
        members = [(name, archive.read(name)) for name in archive.namelist()]
    at, other = draw.randrange(len(members)), draw.randrange(len(members))
    name, content = members[at]
    kind = draw.choice(("lost", "renamed", "cut", "twice", "compressed", "exchanged", "longer", "size", "added"))
    compression = zipfile.ZIP_DEFLATED if kind == "compressed" else zipfile.ZIP_STORED
    if kind == "lost":
        del members[at]
    elif kind == "renamed":
        members[at] = (draw.choice((f"{name}x", "../up", "/root", name.upper(), "a" * 300, "\x1b[2J")), content)
    elif kind == "cut":
        members[at] = (name, content[: draw.randrange(len(content) + 1)])
    elif kind == "twice":
        members.append((name, draw.choice(members)[1]))
    elif kind == "exchanged" and len(content) != len(members[other][1]):
        members[at], members[other] = (name, members[other][1]), (members[other][0], content)
    elif kind == "longer":
        members[at] = (name, content + draw.randbytes(draw.choice((1, 8, 1000))))
    elif kind == "added":
        members.append((f"{name.split('/')[0]}/more.pkl", pickle.dumps(random.Random(0))))
    out = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(out, "w", compression) as archive:
        warnings.simplefilter("ignore")  # of names that stand twice
        for each, content in members:
            archive.writestr(each, content)
    result = bytearray(out.getvalue())
    if kind == "size":  # of a member, in the list at the end
        entry = result.rfind(b"PK\x01\x02")
        result[entry + 20 : entry + 28] = struct.pack("<LL", *([draw.choice((0, 1, 2**31, 2**32 - 1))] * 2))
    return kind, bytes(result)


def json_changed(whole: bytes, draw: random.Random) -> tuple[str, bytes]:
    """Rewrite an archive with one value of its JSON lost, nested deeply, twice or something else."""
    with zipfile.ZipFile(io.BytesIO(whole)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    texts = [name for name, content in members.items() if content[:1] == b"{"]
    name = draw.choice(texts)
    document = json.loads(members[name])
    places = list(_places(document))
    holder, key = draw.choice(places)
    kind = draw.choice(("lost", "odd", "odd", "renamed", "deep"))
    if kind == "lost":
        del holder[key]
    elif kind == "renamed" and isinstance(holder, dict):
        holder[f"{key}x"] = holder.pop(key)
    elif kind != "deep":
        holder[key] = draw.choice((*VALUES, draw.choice(NUMBERS), draw.choice(places)[0]))
    try:
        text = json.dumps(document)
    except (ValueError, RecursionError):  # a value inside itself
        return "unchanged", whole
    if kind == "deep":
        deep = draw.choice((200, 100_000))
        text = text[:-1] + ', "deep": ' + "[" * deep + "]" * deep + "}"
    members[name] = text.encode()
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for each, content in members.items():
            archive.writestr(each, content)
    return f"json {kind}", out.getvalue()


def _pickle_changed(whole: bytes, draw: random.Random) -> tuple[str, bytes]:
    """Rewrite an archive of torch.save with bytes of its pickle changed, and the right checksum."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(whole)) as archive, zipfile.ZipFile(out, "w") as after:
        for name in archive.namelist():
            content = bytearray(archive.read(name))
            if name.endswith("data.pkl"):
                for _ in range(draw.choice((1, 1, 2, 4))):
                    content[draw.randrange(len(content))] = draw.choice((draw.randrange(256), 0, 255, ord(".")))
            after.writestr(name, bytes(content))
    return "pickle", out.getvalue()


def _places(value: object) -> object:
    """Yield every place of a JSON document, as its holder and the key in it."""
    for key, inner in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield value, key
        yield from _places(inner)


def _fields(message: Message) -> object:
    """Yield every number and text that a message says, as pairs of message and field."""
    for field, value in message.ListFields():
        if field.message_type is None:
            yield message, field
            continue
        for each in value if field.is_repeated else [value]:
            yield from _fields(each)
