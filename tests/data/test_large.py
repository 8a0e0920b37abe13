"""Files that are larger than memory: read batch by batch, the same numbers as when they are read whole."""

import numpy as np
import pandas as pd
import pytest
import torch
from helpers import assert_same_table, gaussian
from torch import nn

import nfa
from nfa.common import InputError
from nfa.data import large, stream
from nfa.network import MLP


@pytest.fixture
def table(tmp_path):
    """A parquet file of 95 rows in groups of 40, with a target."""
    pytest.importorskip("pyarrow")
    frame = pd.DataFrame(gaussian(95, 6).numpy(), columns=[*"abcdef"])
    frame["label"] = np.arange(95) % 3
    frame.to_parquet(tmp_path / "rows.parquet", row_group_size=40)
    return tmp_path / "rows.parquet"


def test_a_table_is_audited_as_one_in_memory(table, monkeypatch):
    net = MLP(6, 8, 1, 3)
    monkeypatch.setattr(large, "AT_ONCE", 8 * 7 * 25)  # 25 rows are read together
    expected = nfa.audit(net, nfa.load_data(table, target="label"), batch_size=20)
    found = nfa.audit(net, stream(table, target="label"), batch_size=20)
    assert_same_table(found, expected, tolerance=1e-4)
    assert found.about.n_samples == 95
    assert found.about.score.value == expected.about.score.value


def test_rows_come_a_few_at_a_time(table, monkeypatch):
    monkeypatch.setattr(large, "AT_ONCE", 8 * 7 * 25)
    sizes = [len(x) for x, _ in large._Table(table, None)]
    assert sum(sizes) == 95
    assert max(sizes) <= 25


def test_a_row_without_a_target_is_named(tmp_path, table):
    frame = pd.read_parquet(table).astype({"label": float})
    frame.loc[77, "label"] = np.nan
    frame.to_parquet(tmp_path / "missing.parquet")
    with pytest.raises(InputError, match=r"column 'label' has no value at row 77"):
        nfa.audit(MLP(6, 8, 1, 3), stream(tmp_path / "missing.parquet", target="label"))


def test_a_missing_entry_is_named_by_its_row(tmp_path, table):
    frame = pd.read_parquet(table)
    frame.loc[77, "c"] = np.nan
    frame.to_parquet(tmp_path / "missing.parquet")
    with pytest.raises(InputError, match=r"nan at row 77, column 2"):
        nfa.audit(nn.Linear(7, 2), stream(tmp_path / "missing.parquet"))


@pytest.mark.parametrize(
    ("target", "problem"),
    [
        ("word", "target: column 'word' holds text"),
        ("wurd", "target: 'wurd' is unknown; did you mean 'word'"),
        (None, "column 'word' holds (large_)?string, expected numbers"),
    ],
)
def test_columns_of_text_are_refused(tmp_path, table, target, problem):
    frame = pd.read_parquet(table).assign(word="yes")
    frame.to_parquet(tmp_path / "words.parquet")
    with pytest.raises(InputError, match=problem):
        stream(tmp_path / "words.parquet", target=target)


def test_a_file_of_an_array_is_mapped(tmp_path):
    X = gaussian(30, 6).numpy()
    np.save(tmp_path / "X.npy", X)
    y = torch.arange(30) % 2
    found = nfa.audit(MLP(6, 8, 1, 2), (stream(tmp_path / "X.npy"), y))
    assert found.about.score.n == 30
    with pytest.raises(InputError, match=r"target: X.npy has no named columns; hand over a pair"):
        stream(tmp_path / "X.npy", target="y")


@pytest.mark.parametrize("suffix", [".npy", ".parquet"])
@pytest.mark.parametrize("content", [b"", b"no such format", b"PK\x03\x04"])
def test_damaged_files_are_refused_in_one_line(tmp_path, suffix, content):
    pytest.importorskip("pyarrow")
    path = tmp_path / f"rows{suffix}"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"is empty|truncated or of another kind") as error:
        stream(path)
    assert "\n" not in str(error.value)


def test_other_files_are_refused(tmp_path):
    (tmp_path / "rows.csv").write_text("a,b\n1,2\n")
    with pytest.raises(InputError, match=r"data: the file's suffix: '.csv' is unknown"):
        stream(tmp_path / "rows.csv")
    with pytest.raises(InputError, match=r"no such file"):
        stream(tmp_path / "none.npy")
