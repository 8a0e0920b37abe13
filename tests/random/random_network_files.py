"""Random files of networks, whole and damaged, for every reader.

A whole file must load as the network that it was written from. A damaged one must be refused in one line, or answer
as the original does, or as an independent reader of the same bytes does (formats without checksums cannot tell a
weight with a flipped bit from another weight).
"""

import base64
import random
import resource
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from network_originals import Original, exported, onnx_graph, safetensors, skops_file, torch_file

import nfa
from nfa.network.model import with_ending

SECONDS, MIB = 120, 1500
"""What one file may take: time of the processor, and memory beyond what was in use."""


@dataclass(frozen=True)
class Case:
    """A file and what may come of it.

    Args:
        original: What the file was made from.
        content: Its bytes.
        damage: What was done to it; empty for a whole one.
    """

    original: Original
    content: bytes
    damage: str = ""


def check(seed: int) -> str | None:
    """Make one case of some kind, and judge it."""
    name, draw = _kind(seed)
    with tempfile.TemporaryDirectory() as folder:
        return KINDS[name](draw, Path(folder))


def script(seed: int) -> str:
    """Return a program that loads the file of a case."""
    name, draw = _kind(seed)
    case = _MAKERS[name](draw)
    path, text = f"case{case.original.suffix}", base64.b64encode(case.content).decode()
    return (
        f"# {name}: {case.damage or 'whole'}\n"
        "import base64, pathlib, torch, nfa\n"
        f"pathlib.Path({path!r}).write_bytes(base64.b64decode({text!r}))\n"
        f"model = nfa.load({path!r}, **{case.original.options!r})\n"
        f"rows = torch.linspace(-1, 1, {3 * case.original.d}).reshape(3, -1)\n"
        "print(model.net(rows.to(next(model.net.parameters()).dtype)))\n"
    )


def _kind(seed: int) -> tuple[str, random.Random]:
    return list(KINDS)[seed % len(KINDS)], random.Random(seed)


def judge(case: Case, folder: Path) -> str | None:
    """Return None where the file's network answers as it should, the kind of refusal where it is refused.

    Raises:
        AssertionError: anything else.
    """
    path = folder / f"case{case.original.suffix}"
    path.write_bytes(case.content)
    rows = torch.linspace(-1, 1, 3 * case.original.d).reshape(3, -1)
    before, began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    try:
        model = nfa.load(path, **case.original.options)
        given = rows if model.transform is None else torch.from_numpy(model.transform(rows.double().numpy()))
        dtype = _dtype(model.net)
        got = with_ending(model.net(given.to(dtype)).detach().double(), model.ending)
        if dtype == torch.float16:  # in which a head's terms may cancel; the same weights in float64 tell
            got = with_ending(model.net.double()(given.double()).detach(), model.ending)
    except nfa.InputError as error:
        got, message = None, str(error)
        assert message.isprintable(), f"more than one line, or control characters: {message!r}"
        assert len(message) < 1200, f"a long message: {message}"
        assert case.damage, f"a whole file is refused: {message}"
    taken, grown = time.process_time() - began, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert taken < SECONDS, f"{case.damage}: {taken:.0f} s of the processor"
    assert grown < MIB << 10, f"{case.damage}: {grown >> 10} MiB"
    if got is None:
        return f"{case.original.suffix} {_reason(message, path)}"
    right, largest = case.original.answers(rows.double()), torch.finfo(dtype).max
    if _same(got, right, largest):
        return None
    assert case.damage, "a whole file answers otherwise"
    read = case.original.reread(case.content)
    assert read is not None, f"{case.damage}: read, though it makes no sense"
    same = _same(got, read(rows.double()), largest)
    assert same, f"{case.damage}: answers neither as the original nor as the file says"
    return None


def _dtype(net: torch.nn.Module) -> torch.dtype:
    return next((each.dtype for each in net.parameters() if each.is_floating_point()), torch.float32)


def _same(got: torch.Tensor, expected: torch.Tensor | None, largest: float) -> bool:
    """Whether answers are the same; those that lead near the largest number of the network's dtype show nothing."""
    if expected is None or got.shape != expected.shape:
        return False
    if not bool(got.isfinite().all()) and not bool((expected.abs() < largest**0.75).all()):
        return True
    size = expected[expected.isfinite()].abs().max() if expected.isfinite().any() else 1.0
    return torch.allclose(got, expected, rtol=2e-2, atol=float(2e-2 * size), equal_nan=True)


REASONS = {
    "damaged": ("truncated or damaged", "another kind", "is damaged", "damaged:", "does not follow the format"),
    "never written": ("compressed", "two members", "not written by", "is empty", "another type", "schema version"),
    "checksum": ("checksum",),
    "needs code": ("needs code", "names types", "kept as an object"),
    "unsupported": (
        "not supported",
        "none of the operators",
        "only dense",
        "no dense tensor",
        "not run from",
    ),
    "no plain chain": ("no plain chain", "no linear layer", "follow one another", "gives", "order", "room for an"),
    "not finite": ("must be finite",),
    "sizes do not fit": ("shape", "bytes", "entries", "cut short", "larger than", "fit", "rows of", "size"),
    "names": ("reads", "computed twice", "nothing computes", "same name", "twice", "missing", "no values", "unknown"),
    "budget": ("too long", "grow too large", "MiB"),
    "no state dict": ("expected a state dict", "holds no tensors", "names a tensor", "cannot be rebuilt"),
    "versions": ("in version", "big-endian"),
    "types": ("dtype", "no tensor of numbers", "more than tensors"),
    "arguments": ("axis", "Dimension out of range", "cannot be run on", "refuses these rows", "expected one"),
    "other use": ("inputs", "outputs", "mixes samples", "does not depend", "fixed to a batch", "changes its own"),
}


def _reason(message: str, path: Path) -> str:
    said = message.replace(str(path), "")
    return next((kind for kind, words in REASONS.items() if any(word in said for word in words)), f"other: {said[:60]}")


def _whole(make: Callable[[random.Random], Original]) -> Callable[[random.Random], Case]:
    def case(draw: random.Random) -> Case:
        original = make(draw)
        return Case(original, original.content)

    return case


def _flipped(make: Callable[[random.Random], Original]) -> Callable[[random.Random], Case]:
    def case(draw: random.Random) -> Case:
        original = make(draw)
        damage, content = bytes_damaged(original.content, draw)
        return Case(original, content, damage)

    return case


def _changed(make: Callable[[random.Random], Original]) -> Callable[[random.Random], Case]:
    def case(draw: random.Random) -> Case:
        original = make(draw)
        damage, content = original.change(draw)
        return Case(original, content, damage)

    return case


def bytes_damaged(whole: bytes, draw: random.Random) -> tuple[str, bytes]:
    """Return damage that knows nothing of the format, and what it is called.

    Half of it falls into the first and last kilobyte, where formats keep what they say of themselves.
    """

    def place() -> int:
        if draw.random() < 0.5:
            return draw.randrange(len(whole))
        near = min(draw.randrange(1024), len(whole) - 1)
        return near if draw.random() < 0.5 else len(whole) - 1 - near

    copy = bytearray(whole)
    kind = draw.choice(("flips", "flips", "cut", "inserted", "removed", "zeroed", "copied"))
    at, length = place(), draw.choice((1, 2, 8, 64, 512))
    if kind == "flips":
        for _ in range(draw.choice((1, 1, 2, 8))):
            copy[place()] ^= 1 << draw.randrange(8)
    elif kind == "cut":
        del copy[at:]
    elif kind == "inserted":
        copy[at:at] = draw.randbytes(length)
    elif kind == "removed":
        del copy[at : at + length]
    elif kind == "zeroed":
        copy[at : at + length] = bytes(len(copy[at : at + length]))
    else:
        copy[at : at + length] = copy[(other := place()) : other + length]
    return kind, bytes(copy)


_FORMATS = {
    "torch": torch_file, "safetensors": safetensors, "exported": exported, "onnx": onnx_graph, "skops": skops_file,
}  # fmt: skip
_MAKERS: dict[str, Callable[[random.Random], Case]] = {
    f"{name} {how}": wrap(make)
    for name, make in _FORMATS.items()
    for how, wrap in (("whole", _whole), ("bytes", _flipped), ("structure", _changed))
}


def _judged(make: Callable[[random.Random], Case]) -> Callable[[random.Random, Path], str | None]:
    return lambda draw, folder: judge(make(draw), folder)


KINDS: dict[str, Callable[[random.Random, Path], str | None]] = {name: _judged(make) for name, make in _MAKERS.items()}
"""By kind of file: makes a case and judges it."""
