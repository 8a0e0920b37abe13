"""The formats of files: one table, by suffix."""

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nfa.common.errors import InputError
from nfa.common.extras import MissingExtraError, extra, way
from nfa.network.examinable import DEQUANTISE
from nfa.network.model import Model


@dataclass(frozen=True)
class Requirement:
    """A package that a format needs beyond the toolkit's own.

    Args:
        module: The module that is imported.
        extra: The extra of this toolkit that installs the package.
        least: The lowest version; empty where any will do.
    """

    module: str
    extra: str
    least: tuple[int, ...] = ()

    def check(self, suffix: str, argument: str) -> None:
        """Check that the package is there.

        Raises:
            MissingExtraError: it is missing or too old.
        """
        with extra(self.extra, argument, f"{suffix} files need"):
            importlib.import_module(self.module)
        if self.least:
            package = self.module.partition(".")[0]
            version = importlib.import_module(package).__version__
            if tuple(int(part) for part in version.split(".")[: len(self.least)]) < self.least:
                least = ".".join(map(str, self.least))
                raise MissingExtraError(argument, f"{suffix} files need {package} {least} or later: {way(self.extra)}")


@dataclass(frozen=True)
class Reader:
    """A format that is read.

    Args:
        suffixes: Of its files.
        function: The function that reads one, as "package.module:name"; imported when a file is there to be read. It
            takes the file, which exists, and what messages call it, and returns a `Model`.
        takes: What else it takes: "activation" and "model", which a file of weights alone does not say, "key" and
            "prefix", which say where in the file the network is.
        requires: What must be installed for it.
        called: The format in words.
    """

    suffixes: tuple[str, ...]
    function: str
    called: str
    takes: tuple[str, ...] = ()
    requires: Requirement | None = None

    def read(self, file: Path, argument: str, **given: Any) -> Model:
        """Read a file.

        Args:
            file: An existing file.
            argument: What messages call it.
            given: What `takes` names.

        Raises:
            InputError: something that it needs is not installed, or the file cannot be read.
        """
        if self.requires is not None:
            self.requires.check(file.suffix.lower(), argument)
        module, _, name = self.function.partition(":")
        function: Callable[..., Model] = getattr(importlib.import_module(module), name)
        try:
            return function(file, argument, **given)
        except MemoryError as error:
            raise InputError(argument, f"{file} takes more memory to read than there is") from error


@dataclass(frozen=True)
class Refusal:
    """A format that is not read.

    Args:
        suffixes: Of its files.
        reason: Why, and what to do instead, with <suffix> and <file> in the places of these.
    """

    suffixes: tuple[str, ...]
    reason: str

    def error(self, file: str, argument: str) -> InputError:
        """Return the error for a file of this format."""
        return InputError(argument, self.reason.replace("<suffix>", Path(file).suffix.lower()).replace("<file>", file))


WEIGHTS_ALONE = ("activation", "model", "prefix")

ONNX = "Give the .onnx file"
STATE_DICT = (
    "make a state dict of the arrays, torch.save({name: torch.from_numpy(array), ...}, 'weights.pt'), and say what it "
    "belongs to with --model package.module:factory, or --activation for a plain chain"
)
"""The ways round a format that is not read."""

FORMATS: tuple[Reader | Refusal, ...] = (
    Reader(
        (".pt", ".pth", ".ckpt"),
        "nfa.formats.weights.files:torch_weights",
        "weights that torch.save wrote",
        takes=(*WEIGHTS_ALONE, "key"),
    ),
    Reader((".safetensors",), "nfa.formats.weights.files:safetensors_weights", "safetensors", takes=WEIGHTS_ALONE),
    Reader((".pt2",), "nfa.formats.exported.file:read_pt2", "a program that torch.export wrote"),
    Reader((".onnx",), "nfa.formats.onnx.file:read_onnx", "an ONNX graph", requires=Requirement("onnx", "onnx")),
    Reader(
        (".skops",),
        "nfa.formats.sklearn.skops_file:read_skops",
        "an estimator of scikit-learn that skops wrote",
        # What skops builds before it asks was checked in 0.16; earlier versions are known to ask for less.
        requires=Requirement("skops.io", "skops", (0, 16)),
    ),
    Reader(
        (".keras", ".h5"),
        "nfa.formats.keras.file:read_keras",
        "a network of Keras",
        requires=Requirement("h5py", "keras"),
    ),
    Reader((".zip",), "nfa.formats.sb3:read_agent", "an agent of Stable-Baselines3", takes=WEIGHTS_ALONE),
    Refusal((".npz", ".npy"), f"<suffix> files hold arrays without a network; {STATE_DICT}"),
    Refusal((".mat",), f"MATLAB's files are not read; in MATLAB, exportONNXNetwork(net, 'net.onnx'). {ONNX}"),
    Refusal((".tflite",), f"TensorFlow Lite's files are not read; tf2onnx --tflite <file> converts them. {ONNX}"),
    Refusal((".pb", ".savedmodel"), f"TensorFlow's files are not read; tf2onnx converts them. {ONNX}"),
    Refusal((".nnet",), f"<suffix> files are not read; NNet's own nnet2onnx converts them. {ONNX}"),
    Refusal((".msgpack", ".orbax"), f"Flax's files are not read; {STATE_DICT}"),
    Refusal((".gguf", ".ggml"), f"<suffix> files hold quantized weights; {DEQUANTISE}"),
    Refusal(
        (".joblib", ".pkl", ".pickle"),
        "<suffix> files run code when they are opened, so <file> is not read; in Python, hand over the object itself, "
        "or keep it with skops.io.dump(estimator, 'network.skops')",
    ),
)
"""All formats; no two have a suffix in common."""


def refuse_given(given: Mapping[str, Any], why: str) -> None:
    """Refuse options for files of weights where the source does not need them.

    Raises:
        InputError: something is given that is not None.
    """
    for name, value in given.items():
        if value is not None:
            raise InputError(name, why)


def format_of(file: str) -> Reader | Refusal | None:
    """Return the format by a file's suffix; None where it is unknown.

    >>> format_of("net.ONNX").suffixes
    ('.onnx',)
    """
    suffix = Path(file).suffix.lower()
    return next((each for each in FORMATS if suffix in each.suffixes), None)


def takes(file: str, option: str) -> bool:
    """Return whether a file's reader takes "activation", "model", "key" or "prefix".

    >>> takes("net.pt", "activation"), takes("net.onnx", "activation")
    (True, False)
    """
    found = format_of(file)
    return isinstance(found, Reader) and option in found.takes


def suffixes(option: str = "") -> str:
    """Return the suffixes of the formats that are read, or only of those that take an option.

    >>> suffixes("activation")
    '.pt, .pth, .ckpt, .safetensors, .zip'
    """
    readers = [each for each in FORMATS if isinstance(each, Reader) and (not option or option in each.takes)]
    return ", ".join(suffix for reader in readers for suffix in reader.suffixes)
