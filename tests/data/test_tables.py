"""Tables in text and in parquet: read rightly, or refused with what to do."""

import gzip
import re

import numpy as np
import pandas as pd
import pytest

from nfa import InputError, load_data


def written(folder, content, name="t.csv"):
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.mark.parametrize(
    ("content", "X"),
    [
        ("a;b\n1;2\n3;4\n", [[1, 2], [3, 4]]),
        ("a\tb\r\n1\t2\r\n", [[1, 2]]),
        ("a|b\r1|2\r", [[1, 2]]),
        ("  a    b\n  1    2\n 10  3.5\n", [[1, 2], [10, 3.5]]),
        ("a;b\n1,5;2\n3;4,250\n", [[1.5, 2], [3, 4.25]]),
        ('a,b\n"1,5","2"\n', [[1.5, 2]]),
        ("sep=;\na;b\n1;2\n", [[1, 2]]),
        ("temp, C;b\n1.5;2\n", [[1.5, 2]]),
        ("\n\na,b\n\n1,2\n\n3,4\n\n", [[1, 2], [3, 4]]),
        ("a\n1\n2\n\n", [[1], [2]]),
        (",a,b\n0,1,2\n1,3,4\n", [[1, 2], [3, 4]]),
        (",0,1\n0,1,2\n", None),
        ("a,b,\n1,2,\n3,4,\n", [[1, 2], [3, 4]]),
        ("a,b\n1,True\n2,FALSE\n", [[1, 1], [2, 0]]),
        ('"a,b","c ""d"""\n1, 2\n', [[1, 2]]),
        ("a,b\n9007199254740993,0.1\n", [[9007199254740992, 0.1]]),
        ("a,b\n0.1000000000000000055511151231257827,5e-324\n", [[0.1, 5e-324]]),
    ],
)
@pytest.mark.parametrize("code", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_tables_in_text_are_recognised(tmp_path, content, X, code):
    path = written(tmp_path, content.encode(code))
    if X is None:
        with pytest.raises(InputError, match="begins with a line of numbers"):
            load_data(path)
    else:
        assert load_data(path).X.tolist() == X


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a,b,c,d\n1,2,3,4,5\n2,3,4,5,6\n", r"row 0 \(line 2\) has 5 fields, but the header has 4"),
        ("a,b\n1,2\n\n3\n", r"row 1 \(line 4\) has 1 field, but the header has 2"),
        ("a,b\n1,2,\n", "row 0 .* has 3 fields"),
        ("a,b\n1,5;2,5\n", "row 0 .* has 3 fields"),
        ("a,b;c,d\n1,5;2,5\n", "has a comma and a semicolon in its header; keep one"),
        ("a;b\n1,500;2\n", "'1,500' at row 0 is 1.500 or 1500; write all numbers with a decimal point"),
        ("a;b\n1,5;2.5\n", "column 'b' holds '2.5' at row 0; write all numbers with a decimal point"),
        ("a;b\n1.234,5;2\n", "holds '1.234,5' at row 0; write all"),
        ('a,b\n"1,234,567",2\n', "holds '1,234,567' at row 0; write all"),
        ("1,2\n3,4\n", r"begins with a line of numbers \(1, 2\), expected the names of columns; add a header"),
        ("0,1\n1,0\n", "begins with a line of numbers"),
        ("5.1,NA\n1,0\n", "begins with a line of numbers"),
        ("a,a\n1,2\n", "has two columns called 'a'"),
        ("a,,b\n1,2,3\n", "has no name for column 1"),
        ("a,b,\n1,2,3\n", "has no name for column 2"),
        (",a\n7,1\n3,2\n", "has no name for its first column, and that does not number the rows from 0"),
        ("# made by hand\na,b\n1,2\n", "begins with '#'; comments are not read"),
        ("a,b\n1,2\n# the end\n", "row 1 .* has 1 field"),
        ("a\n1\n\n2\n", "line 3 is blank, expected a value"),
        ("a,b\n1,1_000\n", "column 'b' holds '1_000' at row 0, expected numbers"),
        ("a,b\n1,0x10\n", "holds '0x10' at row 0"),
        ("a,b\n1,\u0661\n", "at row 0, expected numbers"),
        ("a,b\n1,12%\n", "holds '12%' at row 0"),
        ("a,b\n1,True\n2,7\n", "column 'b' holds truth values and numbers"),
        ("a,b\n1,1e999\n", "inf at row 0, column 'b'"),
        ("a,b\n1,\n", "nan at row 0, column 'b'"),
        ('a,b\n1,"2\n', "a row cannot be read: .*quotes must be closed"),
        ('a,b\n1,"2"3\n', "a row cannot be read"),
        (b"a,\xe9\n1,2\n", r"byte 0xE9 in line 1 is not UTF-8 \(Latin-1\?\); save it in UTF-8"),
        ("a,b\n1,2\n".encode("utf-16-le"), "UTF-16 without a byte order mark"),
        (b"\xff\xfea,b\n1,2\n3", "begins like utf-16 text, but is none"),
        (gzip.compress(b"a,b\n1,2\n", mtime=0), "packed by gzip; unpack it"),
        (b"PK\x03\x04" + bytes(40), "an Excel file or another zip archive; save the table as .csv"),
        (b"\xd0\xcf\x11\xe0" + bytes(40), "an old Excel file"),
        (b"PAR1" + bytes(40), "parquet; call it .parquet"),
        ("\n \n", "is empty, it has no rows"),
    ],
)
def test_tables_in_text_that_could_be_misread_are_refused(tmp_path, content, message):
    with pytest.raises(InputError, match=message) as caught:
        load_data(written(tmp_path, content))
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    ("labels", "y", "names"),
    [
        (["3", "5", "3"], [0, 1, 0], ("3", "5")),
        (["1.5", "2", "-1"], [1.5, 2.0, -1.0], None),
        (["1,5", "2", "-1"], [1.5, 2.0, -1.0], None),
        (["True", "False", "True"], [1, 0, 1], ("False", "True")),
        (["cat", "#1", "x;y"], [1, 0, 2], ("#1", "cat", "x;y")),
        (["1", "2", "3+"], [0, 1, 2], ("1", "2", "3+")),
        (["+", "-", "+"], [0, 1, 0], ("+", "-")),
        (["yes", "true", "yes"], [1, 0, 1], ("true", "yes")),
        (["9" * 5000, "1", "1"], [1, 0, 0], ("1", "9" * 5000)),
    ],
)
def test_targets_in_text(tmp_path, labels, y, names):
    lines = [f'{row};"{label}"' for row, label in enumerate(labels)]
    data = load_data(written(tmp_path, "a;y\n" + "\n".join(lines)), "y")
    assert data.y.tolist() == y
    assert data.class_names == names


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (["1.5", "x", "2"], "target: column 'y' holds 'x' at row 1, and real numbers"),
        (["1", "", "2"], "target: column 'y' has no value at row 1"),
        (["1,500", "2,500", "3"], "'1,500' at row 0 is 1.500 or 1500"),
        (["y", "x", "y"], "begins with a line of numbers"),
        (["1,5", "2.5", "3"], "target: column 'y' holds '1,5' at row 0, and real numbers"),
        (["True", "0", "1", "False"], "target: column 'y' holds truth values and numbers; write it in one way"),
        (["true", "0.5", "x"], "target: column 'y' holds truth values and numbers; write it in one way"),
        (["no", "?", "yes"], r"target: column 'y' holds '\?' at row 1, which may be no value; leave such rows out"),
        (["1", "2", "-"], "target: column 'y' holds '-' at row 2, which may be no value"),
        (["+", "-", "?"], r"target: column 'y' holds '\?' at row 2, which may be no value"),
    ],
)
def test_targets_that_could_be_misread_are_refused(tmp_path, labels, message):
    lines = [f'{row};"{label}"' for row, label in enumerate(labels)]
    name = "0" if labels[0] == "y" else "a"
    with pytest.raises(InputError, match=message):
        load_data(written(tmp_path, f"{name};y\n" + "\n".join(lines)), "y")


@pytest.mark.parametrize(("labels", "held"), [(["no", "?"], "'?' at row 1"), (["True", "0"], "truth values and")])
def test_targets_in_parquet_that_could_be_misread_are_refused(tmp_path, labels, held):
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.table({"a": [1.0, 2.0], "y": labels}), tmp_path / "t.parquet")
    with pytest.raises(InputError, match=rf"^target: column 'y' holds {re.escape(held)}"):
        load_data(tmp_path / "t.parquet", "y")


def test_many_columns_are_read_column_by_column(tmp_path):
    d = 200_000
    names, rows = ",".join(f"c{i}" for i in range(d)), ",".join("1" for _ in range(d))
    path = written(tmp_path, f"{names}\n{rows}\n{rows}\n")
    data = load_data(path)
    assert data.X.shape == (2, d)
    assert data.with_features(data.feature_names[::-1]).feature_names[0] == f"c{d - 1}"
    with pytest.raises(InputError, match=r"'none' is unknown .*c99 and 199900 more") as caught:
        load_data(path, "none")
    assert len(str(caught.value)) < 2000


def test_pandas_reads_the_same_numbers(tmp_path):
    table = pd.DataFrame(np.random.default_rng(0).normal(size=(50, 4)) ** 9, columns=list("abcd"))
    table.to_csv(tmp_path / "t.csv")
    assert (table.to_numpy() == load_data(tmp_path / "t.csv").X).all()
    table.to_csv(tmp_path / "t.csv", index=False, sep=";", decimal=",")
    assert (table.to_numpy() == load_data(tmp_path / "t.csv").X).all()


def test_parquet_columns_by_type(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    decimals = pa.array(["1.10", "-2.35", "0.30"]).cast(pa.decimal128(20, 2))
    table = pa.table(
        {
            "whole": pa.array([1, 2**60 + 1, -3]),
            "decimal": decimals,
            "truth": [True, False, True],
            "half": pa.array(np.array([0.5, 1.5, -2], np.float16)),
            "dictionary": pa.array([7.5, 7.5, 1.25]).dictionary_encode(),
            "y": pa.array(["b", "a", "b"]).dictionary_encode(),
        }
    )
    pq.write_table(table, tmp_path / "t.parquet")
    data = load_data(tmp_path / "t.parquet", "y")
    assert data.X.T.tolist() == [
        [1, float(2**60 + 1), -3],
        [1.1, -2.35, 0.3],
        [1, 0, 1],
        [0.5, 1.5, -2],
        [7.5, 7.5, 1.25],
    ]
    assert (data.class_names, data.y.tolist()) == (("a", "b"), [1, 0, 1])
    frame = pd.DataFrame({"a": [1.0, 2.0, 3.0]}).iloc[[2, 0]]
    frame.to_parquet(tmp_path / "t.parquet")
    assert load_data(tmp_path / "t.parquet").X.tolist() == [[3.0], [1.0]]
    # Who writes it anew may not say what the index is.
    again = pa.Table.from_pandas(frame, preserve_index=True).replace_schema_metadata(None)
    assert again.column_names == ["a", "__index_level_0__"]
    pq.write_table(again, tmp_path / "t.parquet")
    assert load_data(tmp_path / "t.parquet").X.tolist() == [[3.0], [1.0]]


@pytest.mark.parametrize(
    ("kind", "values", "message"),
    [
        ("list", [[1.0], [2.0]], "column 'x' holds list"),
        ("struct", [{"a": 1}, {"a": 2}], "column 'x' holds struct"),
        ("time", pd.to_datetime(["2020-01-01", "2020-01-02"]), "column 'x' holds timestamp"),
        ("text", ["a", "b"], "column 'x' holds (large_)?string"),
        ("missing", [1.0, None], "nan at row 1, column 'x'"),
    ],
)
def test_parquet_columns_that_are_no_numbers_are_named(tmp_path, kind, values, message):
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.table({"a": [1.0, 2.0], "x": pa.array(values)}), tmp_path / "t.parquet")
    with pytest.raises(InputError, match=message):
        load_data(tmp_path / "t.parquet")
    if kind in ("list", "struct", "time"):
        with pytest.raises(InputError, match=r"target: column 'x' holds .*, expected numbers or text"):
            load_data(tmp_path / "t.parquet", "x")


def test_a_tsv_file_has_tabs_between_fields(tmp_path):
    data = load_data(written(tmp_path, "size, cm\tage\ty\n1,5\t2\ta\n2,5\t3\tb\n", "t.tsv"), "y")
    assert data.feature_names == ("size, cm", "age")
    assert data.X.tolist() == [[1.5, 2], [2.5, 3]]
    assert data.class_names == ("a", "b")


@pytest.mark.parametrize("name", ["t.arff", "t.xls", "t.npz.gz"])
def test_files_of_other_kinds_are_told_what_is_read(tmp_path, name):
    suffix = "." + name.split(".")[-1]
    message = f"data: the file's suffix: '{suffix}' is unknown (known: .npz, .npy, .csv, .tsv, .parquet)"
    with pytest.raises(InputError, match=f"^{re.escape(message)}$"):
        load_data(written(tmp_path, "@relation x", name))
