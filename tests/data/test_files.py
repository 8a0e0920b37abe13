"""The user's own files, and what is said of broken ones."""

import numpy as np
import pandas as pd
import pytest

from nfa import InputError, load_data


@pytest.fixture
def table():
    return pd.DataFrame({"a": [1, 2, 3, 4], "b": [0.5, 1.5, 2.5, 3.5], "kind": ["x", "y", "x", "y"]})


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_tables(table, tmp_path, suffix):
    path = tmp_path / f"t.{suffix}"
    table.to_csv(path, index=False) if suffix == "csv" else table.to_parquet(path)
    data = load_data(path, target="kind")
    assert data.feature_names == ("a", "b")
    assert data.class_names == ("x", "y")
    assert data.y.tolist() == [0, 1, 0, 1]
    np.testing.assert_allclose(data.X, table[["a", "b"]])


def test_a_real_target_stays_real(table, tmp_path):
    table.drop(columns="kind").to_csv(tmp_path / "t.csv", index=False)
    data = load_data(tmp_path / "t.csv", target="b")
    assert not data.is_classification
    assert data.n_outputs == 1
    assert load_data(tmp_path / "t.csv").y is None


def test_arrays(tmp_path):
    X, y = np.arange(24.0).reshape(4, 2, 3), np.array([3, 5, 3, 5])
    np.savez(tmp_path / "t.npz", X=X, y=y)
    data = load_data(tmp_path / "t.npz")
    assert data.feature_shape == (2, 3)
    assert data.X.shape == (4, 6)
    assert data.class_names == ("3", "5")
    assert data.y.tolist() == [0, 1, 0, 1]
    np.save(tmp_path / "t.npy", X.reshape(4, 6))
    assert load_data(tmp_path / "t.npy").y is None


def write_files(folder, table):
    table.to_csv(folder / "t.csv", index=False)
    table.drop(columns="kind").to_csv(folder / "numbers.csv", index=False)
    (folder / "empty.csv").write_text("")
    (folder / "header.csv").write_text("a,b\n")
    np.savez(folder / "t.npz", X=np.eye(3))
    np.savez(folder / "noX.npz", Z=np.eye(3))
    np.savez(folder / "text.npz", X=np.array([["a"]]))
    np.savez(folder / "objects.npz", X=np.array([{}], dtype=object))
    np.savez(folder / "nan.npz", X=np.array([[1.0, 2.0], [3.0, np.inf]]))
    (folder / "cut.npz").write_bytes((folder / "t.npz").read_bytes()[:100])
    np.save(folder / "t.npy", np.eye(50))
    (folder / "cut.npy").write_bytes((folder / "t.npy").read_bytes()[:200])
    (folder / "other.npz").write_text("not a zip file")
    table.to_parquet(folder / "t.parquet")
    (folder / "cut.parquet").write_bytes((folder / "t.parquet").read_bytes()[:80])
    (folder / "other.parquet").write_text("not parquet")
    (folder / "binary.csv").write_bytes(bytes(range(128, 256)) * 4)
    (folder / "other.txt").write_text("1 2 3")
    pd.DataFrame({"a": [1.0, np.nan], "y": [0, 1]}).to_csv(folder / "gap.csv", index=False)
    pd.DataFrame({"a": [1.0, 2.0], "y": ["x", None]}).to_csv(folder / "label.csv", index=False)


@pytest.mark.parametrize(
    ("name", "target", "message"),
    [
        ("missing.csv", None, "no such file"),
        ("empty.csv", None, "is empty"),
        ("header.csv", None, "is empty, it has no rows"),
        ("binary.csv", None, "truncated or of another kind"),
        ("t.csv", None, "column 'kind' holds"),
        ("t.csv", "kinds", "target: 'kinds' is unknown; did you mean 'kind'"),
        ("gap.csv", "y", "data: nan at row 1, column 'a'"),
        ("label.csv", "y", "column 'y' has no value at row 1"),
        ("t.npz", "y", "no named columns"),
        ("noX.npz", None, "has no array 'X' \\(it has: Z\\)"),
        ("text.npz", None, "expected numbers"),
        ("objects.npz", None, "Python objects"),
        ("nan.npz", None, "data: inf at row 1, column 1"),
        ("cut.npz", None, "truncated or of another kind"),
        ("cut.npy", None, "truncated or of another kind"),
        ("other.npz", None, "truncated or of another kind|Python objects"),
        ("cut.parquet", None, "truncated or of another kind"),
        ("other.parquet", None, "truncated or of another kind"),
        ("other.txt", None, "'.txt' is unknown"),
    ],
)
def test_bad_files_are_one_line(tmp_path, table, name, target, message):
    write_files(tmp_path, table)
    with pytest.raises(InputError, match=message) as caught:
        load_data(tmp_path / name, target)
    assert "\n" not in str(caught.value)


def test_an_unknown_name_suggests_the_nearest():
    with pytest.raises(InputError, match="did you mean 'fashion-mnist'"):
        load_data("fashion-mnits")
    with pytest.raises(InputError, match="digits has one target"):
        load_data("digits", target="label")
