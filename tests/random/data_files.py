"""Random data files, with what is in them: .csv, .npy, .npz and .parquet."""

import io
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import csv_files
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

import nfa
from nfa.data import load_data


class Made(NamedTuple):
    """A file; its judge reads it, and returns None or the kind of refusal; `call` is the code that reads it."""

    path: Path
    kind: str
    judge: Callable[[], str | None]
    call: str


class Content(NamedTuple):
    """What is in a file: features (n x d) as numbers, the target's values or None."""

    X: np.ndarray
    y: list | None


def made(path, kind, target, whole, content):
    """Return a file and its judge.

    Args:
        path: The file.
        kind: What was done to it, in words.
        target: The target's column.
        whole: Whether it has to be read.
        content: Called without arguments after the package has read the file, returns its `Content`, or raises.
    """

    def judge():
        try:
            data = load_data(path, target)
        except nfa.InputError as error:
            message = str(error)
            assert message.isprintable(), f"no line: {message!r}"
            assert len(message) < 3000, "no short line"
            assert not whole, f"refused: {message}"
            return kind
        right = content()
        X = np.asarray(right.X)
        assert data.X.shape == (len(X), X[0].size), f"read {data.X.shape}, not {X.shape}"
        expected = X.reshape(data.X.shape)
        exact = all(float(got) == float(each) for got, each in zip(data.X.flat, expected.flat, strict=True))
        assert exact, f"read {data.X.tolist()}, not {expected.tolist()}"
        if right.y is None:
            assert data.y is None, "read targets where there are none"
        elif data.class_names is None:
            assert np.array_equal(np.asarray(data.y, float), np.asarray(right.y, float)), (
                f"read {data.y}, not {right.y}"
            )
        else:
            got = [data.class_names[number] for number in data.y.reshape(-1)]
            assert got == [_text(each) for each in right.y], f"read {got}, not {right.y}"
        return None

    return Made(path, kind, judge, f"nfa.load_data({path.name!r}, {target!r})")


def _text(label):
    return label.decode() if isinstance(label, bytes) else str(label)


def damaged(rng, whole):
    """Return a damaged copy of a file's bytes, and how it was damaged."""
    kind = rng.choice(["flip", "flips", "cut", "longer", "piece lost", "piece twice", "zeros", "head of noise"])
    place, size = int(rng.integers(len(whole))), int(rng.integers(1, 64))
    copy = bytearray(whole)
    if kind in ("flip", "flips"):
        for _ in range(1 if kind == "flip" else 8):
            copy[int(rng.integers(len(whole)))] ^= 1 << int(rng.integers(8))
    elif kind == "cut":
        copy = copy[: max(1, place)]
    elif kind == "longer":
        copy += rng.bytes(size)
    elif kind == "piece lost":
        del copy[place : place + size]
    elif kind == "piece twice":
        copy[place:place] = copy[place : place + size]
    elif kind == "zeros":
        copy[place : place + size] = bytes(len(copy[place : place + size]))
    else:
        copy[: min(size, len(copy))] = rng.bytes(min(size, len(copy)))
    return bytes(copy) or b"\0", str(kind)


NUMBERS = ("<f2", "<f4", "<f8", ">f4", ">f8", "g", "i1", "u1", "<i2", ">i2", "<i4", ">u4", "<i8", ">i8", "<u8", "?")
OTHERS = ("<c8", "<M8[D]", "<m8[s]", "<U3", "S3", "V4", [("a", "<f4"), ("b", "<i4")], "O")
SHAPES = (
    "(-3, 2)",
    "(3, -2)",
    "(1000000000, 1000000000)",
    "(0, 5)",
    "(5,)",
    "()",
    "(2, 0, 3)",
    "(True, 6)",
    "(2**9,)",
    "None",
)


def numbers(rng, dtype, shape):
    dtype = np.dtype(dtype)
    if dtype.kind == "b":
        return rng.random(shape) < 0.5
    if dtype.kind in "iu":
        low, high = np.iinfo(dtype).min, np.iinfo(dtype).max
        if rng.random() < 0.7:
            low, high = max(low, -100), min(high, 100)
        # Up to 2^53: beyond, float64 holds the nearest number only.
        low, high = max(low, -(2**53)), min(high, 2**53)
        return rng.integers(low, high, shape, endpoint=True).astype(dtype)
    return (rng.normal(size=shape) * 10.0 ** rng.integers(-3, 4)).astype(dtype)


def array(rng, dtype=None):
    shape = tuple(rng.integers(1, 7, int(rng.choice([2, 2, 2, 3, 4]))))
    X = numbers(rng, NUMBERS[rng.integers(len(NUMBERS))] if dtype is None else dtype, shape)
    return np.asfortranarray(X) if rng.random() < 0.3 else X


def strange(rng):
    dtype = OTHERS[rng.integers(len(OTHERS))]
    return np.zeros((3, 2), dtype) if rng.random() < 0.7 else np.zeros((0, 2) if rng.random() < 0.5 else 4)


def npy(array, rng):
    out = io.BytesIO()
    np.lib.format.write_array(out, array, version=[(1, 0), (2, 0)][rng.integers(2)])
    return out.getvalue()


def lying(rng, whole):
    """Return an .npy file whose header says another shape or dtype."""
    end = whole.index(b"\n")
    header = whole[:end]
    start = header.index(b"'shape': (") + len(b"'shape': ")
    if rng.random() < 0.7:
        shape = SHAPES[rng.integers(len(SHAPES))].encode()
        header = header[:start] + shape + header[header.index(b")", start) + 1 :]
    else:
        for one, other in ((b"<f8", b"<f4"), (b"<f4", b"<f8"), (b"'<i", b"'>i"), (b"'<", b"'|"), (b"False", b"True")):
            if one in header:
                header = header.replace(one, other, 1)
                break
    header = header.ljust(end) if len(header) <= end else header[:end]
    return header + whole[end:]


def known(X, y=None):
    return lambda: Content(X, None if y is None else y.reshape(-1).tolist())


def make_npy(rng, folder):
    path = folder / "random.npy"
    kind = str(rng.choice(["whole", "whole", "damaged", "lying", "strange"]))
    X = strange(rng) if kind == "strange" else array(rng)
    whole = npy(X, rng) if X.dtype != object else objects(X)
    if kind == "lying":
        whole = lying(rng, whole)
    if kind == "damaged":
        whole, how = damaged(rng, whole)
        kind = f"damaged: {how}"
    path.write_bytes(whole)

    def content():
        # numpy reads an array from a stream that has more to say, so that this is only right for what was not added to.
        return Content(np.load(path, allow_pickle=False), None)

    return made(path, f"npy {kind}", None, kind == "whole", known(X) if kind == "whole" else content)


def objects(X):
    out = io.BytesIO()
    np.save(out, X, allow_pickle=True)
    return out.getvalue()


def targets(rng, n):
    kind = rng.integers(5)
    if kind == 0:
        return None
    if kind == 1:
        return rng.normal(size=n).astype(["<f4", ">f8", "<f8"][rng.integers(3)])
    if kind == 2:
        return rng.integers(-5, 5, n).astype(["<i8", ">i4", "u1", "i1"][rng.integers(4)], casting="unsafe")
    words = np.array(["cat", "dog", "émeu", "1"])[rng.integers(4, size=n)]
    return words if kind == 3 else np.char.encode(words, "utf-8")


def make_npz(rng, folder):
    path = folder / "random.npz"
    kind = str(rng.choice(["whole", "whole", "damaged", "lying", "strange", "twice", "sizes"]))
    X = strange(rng) if kind == "strange" else array(rng)
    y = targets(rng, len(X)) if X.ndim else None
    members = [("X.npy", npy(X, rng) if X.dtype != object else objects(X))]
    if kind == "lying":
        members[0] = ("X.npy", lying(rng, members[0][1]))
    if y is not None:
        members.append(("y.npy", npy(y, rng)))
    members.append(("other.npy", objects(np.array([{}], object))))
    if kind == "twice":
        members.append(("X.npy", npy(X, rng)))
    out = io.BytesIO()
    packed = zipfile.ZIP_DEFLATED if rng.random() < 0.5 else zipfile.ZIP_STORED
    with zipfile.ZipFile(out, "w", packed) as archive:
        for name, content in members:
            info = zipfile.ZipInfo(name)
            info.compress_type = packed
            if name in archive.namelist():
                info.filename = name[:-1] + "Y"
            archive.writestr(info, content)
    whole = out.getvalue().replace(b"X.npY", b"X.npy")
    if kind == "damaged":
        whole, how = damaged(rng, whole)
        kind = f"damaged: {how}"
    if kind == "sizes":
        start = whole.index(b"PK\x01\x02")
        place = start + int(rng.choice([20, 24]))
        size = [0, 1, 2**31, 2**32 - 2, len(whole)][rng.integers(5)]
        whole = whole[:place] + size.to_bytes(4, "little") + whole[place + 4 :]
    path.write_bytes(whole)

    def content():
        with np.load(path, allow_pickle=False) as loaded:
            return known(loaded["X"], loaded["y"] if "y" in loaded.files else None)()

    return made(path, f"npz {kind}", None, kind == "whole", known(X, y) if kind == "whole" else content)


PLAIN = (pa.int8(), pa.uint16(), pa.int32(), pa.int64(), pa.float32(), pa.float64(), pa.bool_(), pa.decimal128(12, 3))
NO_NUMBERS = (
    pa.list_(pa.float64()),
    pa.struct([("a", pa.int32())]),
    pa.string(),
    pa.timestamp("us"),
    pa.date32(),
    pa.binary(),
    pa.map_(pa.string(), pa.int32()),
)


def column(rng, kind, n):
    if pa.types.is_decimal(kind):
        return pa.array(np.round(rng.normal(size=n) * 100, 3).astype(str)).cast(kind)
    found = pa.array(numbers(rng, kind.to_pandas_dtype(), n), kind)
    return found.dictionary_encode() if rng.random() < 0.2 and not pa.types.is_boolean(kind) else found


def make_parquet(rng, folder):
    path = folder / "random.parquet"
    n, d = int(rng.integers(1, 30)), int(rng.integers(1, 6))
    kind = str(rng.choice(["whole", "whole", "damaged", "damaged", "strange", "missing"]))
    names = [str(rng.choice(["a", "x.y", "über", "0", "name with blanks"])) + f" {number}" for number in range(d)]
    columns = [column(rng, PLAIN[rng.integers(len(PLAIN))], n) for _ in names]
    X = np.array([[float(value) for value in each.to_pylist()] for each in columns]).T
    if kind == "strange":
        columns[0] = pa.nulls(n, NO_NUMBERS[rng.integers(len(NO_NUMBERS))])
    if kind == "missing":
        columns[0] = pa.concat_arrays([pa.nulls(1, pa.float64()), pa.array(np.zeros(n - 1))])
    y = targets(rng, n)
    if y is not None:
        values = (
            pa.array([_text(each) for each in y])
            if y.dtype.kind in "US"
            else pa.array(y.astype(y.dtype.newbyteorder("=")))
        )
        names, columns = [*names, "target"], [*columns, values.dictionary_encode() if rng.random() < 0.3 else values]
    table = pa.table(columns, names=names)
    if rng.random() < 0.3:
        frame = pa.table({"__index_level_0__": pa.array(np.arange(n)[::-1])})
        table = table.append_column("__index_level_0__", frame.column(0))
        about = b'{"index_columns": ["__index_level_0__"], "columns": [], "column_indexes": []}'
        table = table.replace_schema_metadata({b"pandas": about})
    pq.write_table(
        table,
        path,
        row_group_size=int(rng.integers(1, 40)),
        compression=str(rng.choice(["none", "snappy", "gzip", "zstd"])),
        use_dictionary=bool(rng.random() < 0.5),
        write_page_checksum=True,
    )
    if kind == "damaged":
        whole, how = damaged(rng, path.read_bytes())
        path.write_bytes(whole)
        kind = f"damaged: {how}"
    target = None if y is None else "target"

    def content():
        found = pq.read_table(pa.BufferReader(path.read_bytes())).to_pydict()
        found.pop("__index_level_0__", None)
        labels = None if target is None else found.pop("target")
        return Content(np.array([[float(value) for value in each] for each in found.values()]).T, labels)

    whole = kind == "whole"
    return made(path, f"parquet {kind}", target, whole, known(X, y) if whole else content)


def make_csv(rng, folder):
    return made(*csv_files.make(rng, folder, Content))


KINDS = {".csv": make_csv, ".npy": make_npy, ".npz": make_npz, ".parquet": make_parquet}
