"""The UCI sets in both formats, and what is said of broken ones."""

import os

import numpy as np
import pytest

from nfa import InputError
from nfa.data.uci import PARTS, read_uci, uci_names

N, D = 12, 3
X = np.arange(N * D).reshape(N, D) / 8 - 2
Y = np.arange(N) % 3


def parts():
    order = np.random.default_rng(0).permutation(N)
    folds = [np.roll(order, 3 * k) for k in range(4)]
    return dict(zip(PARTS, [order[:6], order[6:], *(p for f in folds for p in (f[:9], f[9:]))], strict=True))


def write_npz(folder, drop=(), **changed):
    arrays = {"X": X, "y": Y, "n_classes": np.array(3), **parts(), **changed}
    np.savez(folder / "toy.npz", **{key: value for key, value in arrays.items() if key not in drop})


def lines(rows):
    return "\n".join(" ".join(map(str, row)) for row in rows) + "\n"


def files():
    found = list(parts().values())
    table = [[row, *values, label] for row, (values, label) in enumerate(zip(X.tolist(), Y.tolist(), strict=True))]
    return {
        "toy.txt": f"n_entradas= {D}\nn_clases= 3\nn_arquivos= 1\nfich1= toy_R.dat\nn_patrons1= {N}\n",
        "toy_R.dat": "\tf1\tf2\tf3\tclase\n" + lines(table),
        "conxuntos.dat": lines(found[:2]),
        "conxuntos_kfold.dat": lines(found[2:]),
    }


def write_folder(folder, changed=None):
    (folder / "toy").mkdir()
    for name, text in {**files(), **(changed or {})}.items():
        if text is not None:
            (folder / "toy" / name).write_text(text)


@pytest.mark.parametrize("write", [write_npz, write_folder])
def test_both_formats_hold_the_same(tmp_path, write):
    write(tmp_path)
    data = read_uci(tmp_path, "toy")
    assert uci_names(tmp_path) == ["toy"]
    assert (data.name, data.n_classes) == ("toy", 3)
    assert data.X.dtype == np.float64
    np.testing.assert_array_equal(data.X, X)
    np.testing.assert_array_equal(data.y, Y)
    found = [data.tune_train, data.tune_val, *(rows for fold in data.folds for rows in fold)]
    for rows, expected in zip(found, parts().values(), strict=True):
        np.testing.assert_array_equal(rows, expected)


def test_an_npz_goes_before_a_folder_and_needs_no_number_of_classes(tmp_path):
    write_folder(tmp_path)
    write_npz(tmp_path, drop=["n_classes"], X=X + 1)
    assert uci_names(tmp_path) == ["toy"]
    data = read_uci(tmp_path, "toy")
    assert data.n_classes == 3
    np.testing.assert_array_equal(data.X, X + 1)


def test_a_second_file_is_not_read(tmp_path):
    write_folder(tmp_path, {"toy.txt": files()["toy.txt"] + "n_patrons2= 5\nfich2= missing\n"})
    assert len(read_uci(tmp_path, "toy").X) == N


def changed_part(key, rows):
    return {key: np.array(rows)}


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"drop": ["fold2_test"]}, r"toy.npz has no array 'fold2_test' \(it has: X, y, "),
        ({"X": X[0]}, r"X in toy.npz is float64 of shape \(3,\), expected n x d numbers"),
        ({"X": X.astype(str)}, r"X in toy.npz is <U\d+ of shape \(12, 3\), expected n x d numbers"),
        ({"X": X[:0], "y": Y[:0]}, r"X of toy.npz has shape \(0, 3\), expected at least one row and one column"),
        ({"X": np.where(X[4, 1] == X, np.nan, X)}, "nan in toy.npz at row 4, column 1; every entry must be finite"),
        ({"y": Y.astype(float)}, r"y in toy.npz is float64 of shape \(12,\), expected a list of whole numbers"),
        ({"y": Y[1:]}, "toy.npz has 12 rows, but 11 classes"),
        ({"y": Y + 1}, "toy.npz has class 3 at row 2, expected 0 to 2"),
        ({"y": Y - 1}, "toy.npz has class -1 at row 0, expected 0 to 2"),
        ({"drop": ["n_classes"], "y": 2 * Y}, "toy.npz has class 4 at row 2, expected 0 to 2"),
        ({"n_classes": np.array(4)}, "toy.npz has no row of class 3, expected 4 classes"),
        ({"n_classes": np.array(10**12)}, "toy.npz has no row of class 3, expected 1000000000000 classes"),
        ({"n_classes": np.array([3, 3])}, r"n_classes in toy.npz is int64 of shape \(2,\), expected a whole number"),
        ({"tune_val": np.array([0, N])}, "tune_val of toy.npz has row number 12, expected 0 to 11"),
        ({"fold3_train": np.array([0, -1])}, "fold3_train of toy.npz has row number -1, expected 0 to 11"),
        ({"fold3_train": np.array([0.5])}, r"fold3_train in toy.npz is float64 of shape \(1,\), expected a list of"),
        ({"fold1_test": np.array([], int)}, "fold1_test of toy.npz is empty, expected row numbers"),
        ({"fold1_test": np.array([5, 5])}, "fold1_test of toy.npz has row 5 twice, expected each row once"),
        (
            {"fold1_train": np.array([5, 6]), "fold1_test": np.array([6, 7])},
            "row 6 of toy.npz is in fold1_train and in fold1_test, expected in one of them",
        ),
    ],
)
def test_bad_npz(tmp_path, changed, message):
    write_npz(tmp_path, **changed)
    with pytest.raises(InputError, match=f"^data: (.*/)?{message}") as caught:
        read_uci(tmp_path, "toy")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("keep", [0, 10, 300, -30])
def test_damaged_npz(tmp_path, keep):
    write_npz(tmp_path)
    path = tmp_path / "toy.npz"
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(InputError, match=r"toy.npz (is empty|as .npz: it is truncated or of another kind)"):
        read_uci(tmp_path, "toy")


def test_objects_are_not_unpickled(tmp_path):
    write_npz(tmp_path, X=np.array([{}], dtype=object))
    with pytest.raises(InputError, match=r"as \.npz: it holds Python objects"):
        read_uci(tmp_path, "toy")


def swapped(name, old, new):
    text = files()[name]
    assert old in text
    return {name: text.replace(old, new, 1)}


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"toy_R.dat": None}, "no such file: .*toy_R.dat"),
        ({"conxuntos.dat": None}, "no such file: .*conxuntos.dat"),
        ({"conxuntos_kfold.dat": ""}, ".*conxuntos_kfold.dat is empty"),
        ({"toy.txt": "hello"}, r".*toy.txt has no line 'n_clases= ...' \(it has: none\)"),
        (swapped("toy.txt", "fich1= toy_R.dat", ""), ".*toy.txt has no line 'fich1= ...'"),
        (swapped("toy.txt", f"n_patrons1= {N}", "n_patrons1= many"), "toy.txt says n_patrons1= many, expected a whole"),
        (
            swapped("toy.txt", f"n_patrons1= {N}", f"n_patrons1= {'9' * 5000}"),
            "toy.txt says n_patrons1= 9{20}, expected",
        ),
        (swapped("toy.txt", "fich1= toy_R.dat", "fich1= ../a"), r"toy.txt says fich1= \.\./a, expected a file in the"),
        (swapped("toy.txt", f"n_patrons1= {N}", "n_patrons1= 9"), "toy_R.dat has 12 rows, but toy.txt says n_patrons1"),
        (swapped("toy.txt", "n_entradas= 3", "n_entradas= 2"), "toy_R.dat has 5 values at row 0, expected 4: a row"),
        (swapped("toy.txt", "n_clases= 3", "n_clases= 2"), "toy has class 2 at row 2, expected 0 to 1"),
        (swapped("toy.txt", "n_clases= 3", "n_clases= 4"), "toy has no row of class 3, expected 4 classes"),
        (
            {"toy.txt": files()["toy.txt"] + "n_patrons2= -1\n"},
            "toy.txt says n_patrons2= -1, expected a whole number from 1 to",
        ),
        (swapped("toy_R.dat", "-1.875", "?"), ".*toy_R.dat holds something else than numbers at row 0"),
        (swapped("toy_R.dat", "-1.875", "inf"), "inf in toy at row 0, column 1; every entry must be finite"),
        (swapped("toy_R.dat", " 0\n", " 0.5\n"), "toy_R.dat has class 0.5 at row 0, expected a whole number"),
        (swapped("toy_R.dat", " 0\n", " nan\n"), "toy_R.dat has class nan at row 0, expected a whole number"),
        (swapped("toy_R.dat", " 0\n", " 1e300\n"), r"toy_R.dat has class 1e\+300 at row 0, expected a whole"),
        ({"conxuntos.dat": "0 1\n"}, ".*conxuntos.dat has 1 lines, expected 2 lines of row numbers"),
        ({"conxuntos.dat": "0 1\n2 3.5\n"}, ".*conxuntos.dat holds something else than row numbers in line 2"),
        ({"conxuntos.dat": "0 1\n2 1e300\n"}, ".*conxuntos.dat holds something else than row"),
        ({"conxuntos.dat": f"0 1\n2 {N}\n"}, "tune_val of toy has row number 12, expected 0 to 11"),
    ],
)
def test_bad_folder(tmp_path, changed, message):
    write_folder(tmp_path, changed)
    with pytest.raises(InputError, match=f"^data: {message}") as caught:
        read_uci(tmp_path, "toy")
    assert "\n" not in str(caught.value)


def test_no_text(tmp_path):
    write_folder(tmp_path)
    (tmp_path / "toy" / "toy_R.dat").write_bytes(b"\xff\xfe\x00\xd8")
    with pytest.raises(InputError, match=r"toy_R\.dat begins like utf-16 text, but is none"):
        read_uci(tmp_path, "toy")


def test_text_larger_than_memory(tmp_path):
    write_folder(tmp_path)
    os.truncate(tmp_path / "toy" / "conxuntos.dat", 1 << 42)
    with pytest.raises(InputError, match=r"conxuntos\.dat takes .* GiB in memory, more than the budget"):
        read_uci(tmp_path, "toy")


def test_nothing_there(tmp_path):
    with pytest.raises(InputError, match=r"data: no data set in .*, expected NAME.npz or NAME/NAME.txt"):
        uci_names(tmp_path)
    with pytest.raises(InputError, match="data: no such folder"):
        uci_names(tmp_path / "none")
    with pytest.raises(InputError, match=r"data: no set 'toy' in .*, expected toy.npz or toy/toy.txt"):
        read_uci(tmp_path, "toy")
