"""scikit-learn estimators kept with `skops.io.dump`: archives that name types, of which only known ones are built."""

import io
import json
import warnings
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipFile

import skops.io
from sklearn.exceptions import InconsistentVersionWarning

from nfa.common.errors import InputError, Place
from nfa.common.shown import shown
from nfa.formats.archive import content_of
from nfa.formats.sklearn.estimator import from_estimator
from nfa.network.model import Model

TRUSTED = {
    "numpy.dtype": "DTypeNode",
    "numpy.number": "TypeNode",
    "sklearn.compose._column_transformer.make_column_selector": "ObjectNode",
    "sklearn.feature_selection._univariate_selection.f_classif": "FunctionNode",
    "sklearn.feature_selection._univariate_selection.f_regression": "FunctionNode",
    "sklearn.metrics._scorer._PassthroughScorer": "ObjectNode",
    "sklearn.model_selection._split.KFold": "ObjectNode",
    "sklearn.model_selection._split.StratifiedKFold": "ObjectNode",
    "sklearn.neural_network._stochastic_optimizers.AdamOptimizer": "ObjectNode",
    "sklearn.neural_network._stochastic_optimizers.SGDOptimizer": "ObjectNode",
    # What a search's scorer carries in scikit-learn 1.6.
    "sklearn.utils._metadata_requests.MetadataRequest": "ObjectNode",
    "sklearn.utils._metadata_requests.MethodMetadataRequest": "ObjectNode",
}
"""Types in networks and the usual pipelines beyond those that skops trusts, each with the one way in which skops
writes and builds it. They are plain values and functions of numbers, which do nothing when they are built."""

INFLATION, ALWAYS = 100, 64 << 20
"""How many times its own size a file may need in memory, and the bytes that it may always need."""

NAMED, LONGEST_TYPE = 5, 150
"""A message names at most this many types, with this many characters of each."""

CHUNK = 1 << 20
"""Bytes inflated at a time."""


def read_skops(file: Path, argument: str) -> Model:
    """Read a fitted estimator from a skops file, as `from_estimator` reads it in memory.

    Before anything is built, every type that the file names must be scikit-learn's own or a plain value; functions,
    methods and classes of anybody else are refused. The file's numbers are not checked: a pipeline's steps compute
    with them as scikit-learn does.

    Args:
        file: The archive.
        argument: What messages call it.

    Raises:
        InputError: the file is damaged, names other types, would fill the memory, or holds
            no network.
    """
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            content = _checked_copy(file, argument)
            unknown = set(skops.io.get_untrusted_types(data=content)) - set(TRUSTED)
            if unknown:
                # As ASCII literals, since names may hold anything.
                first = [shown(ascii(name)[1:-1], LONGEST_TYPE) for name in sorted(unknown)[:NAMED]]
                names = ", ".join(first) + (f" and {len(unknown) - NAMED} more" if len(unknown) > NAMED else "")
                raise InputError(
                    argument,
                    f"{file} names types that are neither scikit-learn's estimators nor plain values, so "
                    f"it is not read: {names}",
                )
            model = from_estimator(skops.io.loads(content, trusted=list(TRUSTED)), argument)
        except InputError:
            raise
        # A damaged file makes zipfile, json, numpy, skops or scikit-learn raise any of their errors.
        except Exception as error:
            raise InputError(argument, f"cannot read {file} as skops: it is damaged or of another kind") from error
    written = [
        each.message.original_sklearn_version for each in caught if isinstance(each.message, InconsistentVersionWarning)
    ]
    versions = sorted({shown(version) for version in written if isinstance(version, str)})
    notes = tuple(f"The file was written by scikit-learn {version}, another one than reads it." for version in versions)
    return replace(model, name=file.name, notes=(*model.notes, *notes))


def _checked_copy(file: Path, argument: str) -> bytes:
    """Return the archive with its members uncompressed, after checking their checksums and that all fits into memory.

    skops reads this copy, so that sizes are checked once and cannot change.
    """
    whole = content_of(file, Place(argument, str(file)))
    limit = max(ALWAYS, INFLATION * len(whole))
    bomb = InputError(argument, f"{file} would need over {limit >> 20} MiB, many times its own size; it is not read")
    copy = io.BytesIO()
    sizes: dict[str, int] = {}
    schema, total = b"", 0
    with ZipFile(io.BytesIO(whole)) as source, ZipFile(copy, "w") as target:
        for member in source.infolist():
            # Other methods inflate without a bound.
            if member.compress_type not in (ZIP_STORED, ZIP_DEFLATED):
                raise InputError(argument, f"{file} is compressed by another method than deflate, so it is not read")
            total += member.file_size
            if total > limit:
                raise bomb
            with source.open(member) as stream:
                content = b"".join(iter(partial(stream.read, CHUNK), b""))
            if content.startswith(b"PK"):
                raise InputError(argument, f"{file} holds a sparse matrix or an archive, so it is not read")
            if member.filename in sizes:
                raise ValueError("two members of one name")
            if member.filename == "schema.json":
                schema = content
            target.writestr(member.filename, content)
            sizes[member.filename] = len(content)
    if _needed(schema, sizes) > limit:
        raise bomb
    return copy.getvalue()


def _needed(schema: bytes, sizes: dict[str, int]) -> int:
    """Return how many bytes of its members a file's objects take together; it must describe them as skops does.

    An object with a number that was seen before is, to skops, the object that it saw. skops writes such an object in
    full again, but for the numbers and member files of its parts. If a number were enough, a few lines could stand for
    2^40 objects.

    Raises:
        ValueError: objects that differ have one number, or a type of `TRUSTED` is to be built in another way.
    """
    needed = 0
    seen: dict[int | float | str, dict[str, Any]] = {}

    def see(state: dict[str, Any]) -> dict[str, Any]:
        nonlocal needed
        loader = state.get("__loader__")
        if TRUSTED.get(f"{state.get('__module__')}.{state.get('__class__')}", loader) != loader:
            raise ValueError("a type is to be built in another way")
        number = state.get("__id__")
        shape = {k: v for k, v in state.items() if k not in ("__id__", "file") or isinstance(v, dict)}
        # skops does not remember numbers that count as false.
        if number and isinstance(number, (int, float, str)):
            first = seen.setdefault(number, shape)
            if first is not shape:
                if first != shape:
                    raise ValueError("objects that differ have one number")
                return first
        file = state.get("file")
        needed += sizes.get(file, 0) if isinstance(file, str) else 0
        return shape

    json.loads(schema, object_hook=see)
    return needed
