"""Picture data sets that torchvision knows, from a folder that has them or from their download."""

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nfa.common.checks import one_of
from nfa.common.errors import InputError
from nfa.common.extras import extra
from nfa.data.dataset import Dataset

CACHE = Path.home() / ".cache" / "nfa"
"""Where downloads go when no folder is named."""

DEBIAN_FASHION_MNIST = Path("/usr/share/datasets/fashion-mnist")
"""Where Debian's package `dataset-fashion-mnist` puts its four files."""

CELEBA_SIDE = 96
"""CelebA pictures are resized to 96 x 96, the size of arXiv:2212.13881."""

_Part = tuple[NDArray[Any], NDArray[np.int64]]


def import_torchvision() -> Any:
    """Import torchvision, also where its wheel's compiled operators do not load.

    torchvision registers Python counterparts for two operators when it is imported, which fails where
    the compiled library that declares them does not fit the installed torch. Data sets and transforms
    use neither, so declaring them is enough.

    Raises:
        MissingExtraError: torchvision is not installed.
    """
    with extra("vision", "data", "picture sets need"):
        try:
            import torchvision
        except RuntimeError:
            # Declaring them where the library does load would end the process: it declares them too.
            import torch

            for operator in ("nms", "qnms"):
                torch.library.define(
                    f"torchvision::{operator}", "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
                )
            import torchvision
    return torchvision


def load_vision(
    name: str, folder: str | os.PathLike[str] | None = None, download: bool = False, target: str | None = None
) -> Dataset:
    """Load a picture data set, with its own division into training and test rows.

    Args:
        name: A key of `LOADERS`.
        folder: The folder that has it, in torchvision's layout (for Fashion-MNIST also the four bare
            files, as Debian's package lays them). The default is `CACHE`, and for Fashion-MNIST Debian's
            folder if it is there.
        download: Whether to download what the folder lacks.
        target: CelebA's attribute that is y ("Smiling" by default).

    Raises:
        InputError: torchvision is missing, or the folder does not have the set.
    """
    if target is not None and name != "celeba":
        raise InputError("target", f"{name} has one target, its classes; only celeba has attributes to choose")
    torchvision = import_torchvision()
    root = Path(folder) if folder is not None else CACHE
    if name == "fashion-mnist" and not download:
        bare = root if folder is not None else DEBIAN_FASHION_MNIST
        if (bare / "train-images-idx3-ubyte.gz").exists():
            return _bare_fashion_mnist(torchvision, bare)
    return _assemble(name, LOADERS[name], torchvision, root, download, target)


def _assemble(
    name: str, loader: Callable[..., Any], torchvision: Any, root: Path, download: bool, target: str | None
) -> Dataset:
    try:
        (train, test), classes = loader(torchvision, root, download, target)
    except (RuntimeError, OSError, EOFError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError("data", f"cannot read {name} in {root} ({reason}); name its folder, or download it") from error
    X = np.concatenate([train[0], test[0]])
    n = len(train[1])
    return Dataset(
        X.reshape(len(X), -1).astype(np.float32),
        np.concatenate([train[1], test[1]]).astype(np.int64),
        name=name,
        class_names=tuple(classes),
        feature_shape=X.shape[1:],
        split={"train": np.arange(n), "test": np.arange(n, len(X))},
    )


def _bare_fashion_mnist(torchvision: Any, folder: Path) -> Dataset:
    """Unpack the four bare files into the layout that torchvision reads, in a folder that goes away again."""
    with tempfile.TemporaryDirectory() as scratch:
        raw = Path(scratch) / "FashionMNIST" / "raw"
        raw.mkdir(parents=True)

        def unpacked(torchvision: Any, root: Path, download: bool, target: str | None) -> Any:
            for archive in sorted(folder.glob("*-ubyte.gz")):
                torchvision.datasets.utils.extract_archive(str(archive), str(raw))
            return _mnist_like("FashionMNIST")(torchvision, Path(scratch), False, None)

        return _assemble("fashion-mnist", unpacked, torchvision, folder, False, None)


def _mnist_like(kind: str) -> Callable[..., Any]:
    def load(torchvision: Any, root: Path, download: bool, target: str | None) -> Any:
        parts = [getattr(torchvision.datasets, kind)(root, train=train, download=download) for train in (True, False)]
        return [(part.data.numpy(), part.targets.numpy()) for part in parts], parts[0].classes

    return load


def _cifar10(torchvision: Any, root: Path, download: bool, target: str | None) -> Any:
    parts = [torchvision.datasets.CIFAR10(root, train=train, download=download) for train in (True, False)]
    return [(part.data.transpose(0, 3, 1, 2), np.array(part.targets)) for part in parts], parts[0].classes


def _svhn(torchvision: Any, root: Path, download: bool, target: str | None) -> Any:
    parts = [torchvision.datasets.SVHN(root, split=split, download=download) for split in ("train", "test")]
    return [(part.data, part.labels) for part in parts], [str(digit) for digit in range(10)]


def _stl10(torchvision: Any, root: Path, download: bool, target: str | None) -> Any:
    parts = [torchvision.datasets.STL10(root, split=split, download=download) for split in ("train", "test")]
    return [(part.data, part.labels) for part in parts], parts[0].classes


def _celeba(torchvision: Any, root: Path, download: bool, target: str | None) -> Any:
    parts: list[_Part] = []
    for split in ("train", "test"):
        data = torchvision.datasets.CelebA(root, split=split, target_type="attr", download=download)
        names = [name for name in data.attr_names if name]
        column = names.index(one_of("target", target or "Smiling", names))
        pictures = np.empty((len(data), 3, CELEBA_SIDE, CELEBA_SIDE), dtype=np.uint8)
        for row in range(len(data)):
            picture = data[row][0].resize((CELEBA_SIDE, CELEBA_SIDE))
            pictures[row] = np.asarray(picture).transpose(2, 0, 1)
        parts.append((pictures, data.attr[:, column].numpy()))
    attribute = target or "Smiling"
    return parts, [f"not {attribute}", attribute]


LOADERS: dict[str, Callable[..., Any]] = {
    "fashion-mnist": _mnist_like("FashionMNIST"),
    "mnist": _mnist_like("MNIST"),
    "cifar10": _cifar10,
    "svhn": _svhn,
    "stl10": _stl10,
    "celeba": _celeba,
}
