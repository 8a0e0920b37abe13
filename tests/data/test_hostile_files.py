"""Files that ask for too much, lie about themselves, or are none: one line each."""

import io
import os
import zipfile

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

import nfa
from nfa import InputError, load_data
from nfa.cli import app
from nfa.common.budget import GIB, Budget
from nfa.data import as_samples


def header(shape, descr="<f4", fortran=False):
    out = io.BytesIO()
    np.lib.format.write_array_header_2_0(out, {"descr": descr, "fortran_order": fortran, "shape": shape})
    return out.getvalue()


def packed(path, size, **arrays):
    """Write an .npz of one array of zeros, `size` bytes of them."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("X.npy", "w") as member:
        member.write(header((size // 16, 4)))
        for _ in range(size >> 24):
            member.write(bytes(1 << 24))
    return path


def test_an_archive_that_unpacks_to_more_than_the_budget(tmp_path):
    path = packed(tmp_path / "bomb.npz", 5 << 26)
    with pytest.raises(
        InputError, match=r"budget of 0\.25 GiB; max_memory= \(--max-memory GIB\) allows more"
    ) as caught:
        load_data(path)
    assert str(caught.value).startswith("data: bomb.npz: X takes 0.312 GiB in memory, more than the ")
    with pytest.raises(InputError, match="max_memory: got -1, expected a number above 0"):
        load_data(path, max_memory=-1)
    assert load_data(path, max_memory=0.5).n == (5 << 26) // 16
    result = CliRunner().invoke(app, ["train", str(path), "--out", str(tmp_path / "out"), "--max-memory", "0.3"])
    assert "X takes 0.312 GiB in memory, more than the budget of 0.3 GiB" in str(result.exception)


def test_a_parquet_of_one_value_often(tmp_path):
    n = 20_000_000
    pq.write_table(pa.table({"a": pa.array(np.zeros(n, np.int8))}), tmp_path / "t.parquet")
    with pytest.raises(InputError, match=r"t\.parquet takes 0\.298 GiB in memory, more than the budget of 0\.25"):
        load_data(tmp_path / "t.parquet")


@pytest.mark.parametrize("suffix", ["csv", "npy"])
def test_a_file_with_a_hole_larger_than_memory(tmp_path, suffix):
    path = tmp_path / f"t.{suffix}"
    content = header((1 << 38, 4))
    path.write_bytes(content)
    os.truncate(path, len(content) + (1 << 42))
    with pytest.raises(InputError, match=rf"t.{suffix} takes .* GiB in memory, more than the budget"):
        load_data(path)


def test_the_budget_grows_with_the_file():
    assert Budget.of_file(10).most == GIB // 4
    assert Budget.of_file(1 << 23).most == GIB // 2
    assert Budget.of_file(1 << 60).most < 1 << 50


@pytest.mark.parametrize(
    "shape", [(10**9, 10**9), (-3, -2), (3, -2), (2**63, 2), (7,), (3, 3), (10**30, 0), "(((((", (None, 2), ("a",)]
)
def test_shapes_that_the_file_does_not_hold(tmp_path, shape):
    content = header(shape).replace(b"'((((('", b"((((((") + bytes(24)
    (tmp_path / "t.npy").write_bytes(content)
    with pytest.raises(InputError, match=r"cannot read|has shape"):
        load_data(tmp_path / "t.npy")
    with zipfile.ZipFile(tmp_path / "t.npz", "w") as archive:
        archive.writestr("X.npy", content)
    with pytest.raises(InputError, match=r"cannot read|has shape"):
        load_data(tmp_path / "t.npz")


@pytest.mark.parametrize("dtype", ["<f2", ">f4", ">f8", "<f8", "g", "i1", ">i4", "<i8", ">u8", "?"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_every_byte_order_and_layout_is_the_same_numbers(tmp_path, dtype, order):
    X = np.array([[0, 1, 1], [1, 0, 0]] if dtype == "?" else [[0, 1, 2], [3, 100, 7]]).astype(dtype, order=order)
    np.save(tmp_path / "t.npy", X)
    assert load_data(tmp_path / "t.npy").X.tolist() == X.astype(float).tolist()
    np.savez(tmp_path / "t.npz", X=X, y=X[:, 0])
    data = load_data(tmp_path / "t.npz")
    if data.class_names is None:
        assert data.y.tolist() == X[:, 0].astype(float).tolist()
    else:
        assert [data.class_names[number] for number in data.y] == X[:, 0].astype(str).tolist()


def test_no_number_is_read_as_another(tmp_path):
    for dtype, value in (("<i8", 2**24 + 1), (">f8", 0.1), ("g", 0.1), ("<u4", 2**32 - 1), ("<i8", -(2**53))):
        np.save(tmp_path / "t.npy", np.array([[value, 1]], dtype))
        assert load_data(tmp_path / "t.npy").X[0, 0] == value
    assert nfa.Dataset(np.array([[2**24 + 1]]), None).X[0, 0] == 2**24 + 1
    for dtype, value in ((">f8", 0.1), ("g", 0.1), (">i4", 7), ("<u8", 2**63), (">u8", 2**64 - 2**12)):
        array = np.array([[value, 1]], dtype)
        (batch,) = as_samples((array, array[:, 0])).batches(5)
        assert batch.x[0, 0].item() == batch.y[0].item() == value
    y = nfa.Dataset(np.eye(2), np.array([0.1, 1], ">f8")).y
    assert (y.dtype, y[0]) == (np.float64, 0.1)


@pytest.mark.parametrize(
    ("X", "message"),
    [
        (np.zeros((3, 2), "c8"), "holds complex64, expected numbers"),
        (np.zeros((3, 2), "M8[D]"), "holds datetime64"),
        (np.zeros(3, [("a", "f4"), ("b", "i4")]), "expected numbers"),
        (np.zeros((3, 2), "V4"), "expected numbers"),
        (np.zeros((3, 2), "S3"), "holds .S3, expected numbers"),
        (np.zeros((0, 2)), r"has shape \(0, 2\)"),
        (np.zeros((2, 0, 3)), r"has shape \(2, 0, 3\)"),
        (np.zeros(()), r"has shape \(\)"),
        (np.zeros(5), r"has shape \(5,\)"),
    ],
)
def test_arrays_that_are_no_rows_of_numbers(tmp_path, X, message):
    np.save(tmp_path / "t.npy", X)
    with pytest.raises(InputError, match=message):
        load_data(tmp_path / "t.npy")


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (np.zeros(3), r"y in t.npz has shape \(3,\), expected 2 targets"),
        (np.zeros(()), r"y in t.npz has shape \(\)"),
        (np.zeros((2, 0)), r"y in t.npz has shape \(2, 0\)"),
        (np.zeros((2, 1, 1)), r"y in t.npz has shape \(2, 1, 1\)"),
        (np.zeros(2, "M8[D]"), "holds datetime64"),
        (np.array([b"\xff", b"a"]), "holds text that is not in UTF-8"),
    ],
)
def test_targets_that_do_not_fit(tmp_path, y, message):
    np.savez(tmp_path / "t.npz", X=np.eye(2), y=y)
    with pytest.raises(InputError, match=message):
        load_data(tmp_path / "t.npz")


def test_bytes_as_labels_are_text(tmp_path):
    np.savez(tmp_path / "t.npz", X=np.eye(2), y=np.array([b"dog", "émeu".encode()]), other=np.array([{}], object))
    assert load_data(tmp_path / "t.npz").class_names == ("dog", "émeu")


def test_two_members_of_one_name(tmp_path):
    np.save(tmp_path / "X.npy", np.eye(2))
    with zipfile.ZipFile(tmp_path / "t.npz", "w") as archive:
        archive.write(tmp_path / "X.npy", "X.npy")
        archive.write(tmp_path / "X.npy", "X")
    with pytest.raises(InputError, match=r"t\.npz has two arrays of one name"):
        load_data(tmp_path / "t.npz")


def test_characters_and_truth_values_that_are_none(tmp_path):
    np.savez(tmp_path / "t.npz", X=np.eye(2), y=np.array([0x11FFFF, 65], "<u4").view("<U1"))
    with pytest.raises(InputError, match=r"t\.npz: y holds codes that are no characters"):
        load_data(tmp_path / "t.npz")
    np.save(tmp_path / "t.npy", np.array([[2, 1]], np.uint8).view(bool))
    with pytest.raises(InputError, match="holds truth values that are neither 0 nor 1"):
        load_data(tmp_path / "t.npy")


def test_what_is_no_file(tmp_path):
    os.mkfifo(tmp_path / "pipe.csv")
    (tmp_path / "folder.csv").mkdir()
    (tmp_path / "loop.csv").symlink_to(tmp_path / "loop.csv")
    cases = {
        tmp_path / "pipe.csv": "pipe.csv is not a file",
        tmp_path / "folder.csv": "folder.csv is not a file",
        tmp_path / "loop.csv": "loop.csv",
        "/dev/zero": "/dev/zero is not a file",
        tmp_path / ("a" * 300 + ".csv"): r"\(File name too long\)",
        "a" * 300: "is unknown",
        "a\0b.csv": "embedded null",
        tmp_path / "gone.csv": "no such file",
        7: "got int, expected a name or the path of a file",
    }
    for path, message in cases.items():
        with pytest.raises(InputError, match=message) as caught:
            load_data(path)
        assert str(caught.value).isprintable()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read(tmp_path):
    (tmp_path / "t.csv").write_text("a,b\n1,2\n")
    (tmp_path / "t.csv").chmod(0)
    with pytest.raises(InputError, match=r"cannot open .*t.csv \(Permission denied\)"):
        load_data(tmp_path / "t.csv")


@pytest.mark.parametrize("name", ["t.csv", "t.npy", "t.npz", "t.parquet"])
def test_a_file_that_changes_while_it_is_read(tmp_path, monkeypatch, name):
    np.save(tmp_path / "t.npy", np.eye(3))
    np.savez(tmp_path / "t.npz", X=np.eye(3))
    (tmp_path / "t.csv").write_text("a,b\n1,2\n")
    pq.write_table(pa.table({"a": [1.0, 2.0]}), tmp_path / "t.parquet")
    hold = Budget.hold

    def change(*arguments):
        with (tmp_path / name).open("ab") as file:
            file.write(b"3,4\n")
        hold(*arguments)

    monkeypatch.setattr(Budget, "hold", change)
    with pytest.raises(InputError, match=f"{name} changed while it was read"):
        load_data(tmp_path / name)


@pytest.mark.parametrize("name", ["t.csv", "t.npy"])
def test_too_little_memory_is_one_line(tmp_path, monkeypatch, name):
    np.save(tmp_path / "t.npy", np.eye(3))
    (tmp_path / "t.csv").write_text("a,b\n1,2\n")

    def fail(*arguments):
        raise MemoryError

    monkeypatch.setattr(Budget, "hold", fail)
    with pytest.raises(InputError, match=f"{name} needs more memory than there is"):
        load_data(tmp_path / name)
