"""Data as other libraries keep them."""

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.datasets import load_breast_cancer, load_digits, load_iris
from sklearn.utils import Bunch
from torch import nn
from torch.utils.data import DataLoader

import nfa
from nfa.common import InputError
from nfa.data.libraries import known_names, known_shape, unpacked
from nfa.data.pairs import paired
from nfa.data.samples import as_samples

SAME = ["alignment", "cosine", "nfm_trace", "agop_trace"]


def same(one, other):
    np.testing.assert_allclose(one.to_frame()[SAME], other.to_frame()[SAME], rtol=1e-6)
    assert one.score == other.score


@pytest.mark.parametrize("load", [load_iris, load_breast_cancer, load_digits])
def test_a_bunch_is_its_data_and_target(load):
    bunch = load()
    net = nfa.MLP(bunch.data.shape[1], [8], n_outputs=len(bunch.target_names))
    audit = nfa.audit(net, bunch)
    same(audit, nfa.audit(net, (bunch.data, bunch.target)))
    assert audit.about.feature_names == known_names(bunch)


def test_a_bunch_of_pictures_has_their_shape():
    bunch = load_digits()
    audit = nfa.audit(nfa.MLP(64, [8], n_outputs=10), bunch, columns=["cosine"], samples=50)
    assert audit.about.feature_shape == known_shape(bunch) == (8, 8)
    assert known_shape(load_iris()) is None
    assert known_shape(torch.zeros(2, 2)) is None


def test_a_bunch_of_a_data_frame_and_one_without_a_target():
    bunch = load_iris(as_frame=True)
    X, y = paired(bunch)
    assert list(X.columns) == bunch.feature_names
    assert y is bunch.target
    assert known_names(Bunch(data=np.zeros((2, 3)), feature_names=["a"])) == ()
    assert paired(Bunch(data=np.zeros((2, 3))))[1] is None


def test_texts_of_a_bunch_are_refused_with_the_call_that_works():
    with pytest.raises(nfa.InputError, match=r"hand over \(vectorizer.transform\(bunch.data\), bunch.target\)"):
        nfa.audit(nn.Linear(2, 2), Bunch(data=["one text", "another"], target=[0, 1]))


# A data set of Hugging Face, as far as this package looks at one; the real ones are tested where they are installed.
class Stored:
    __module__ = "datasets.arrow_dataset"

    def __init__(self, columns, shown=None):
        self.columns, self.format = columns, {"columns": shown}

    @property
    def column_names(self):
        return list(self.columns)

    def __len__(self):
        return len(next(iter(self.columns.values())))

    def with_format(self, kind, columns):
        assert kind == "numpy"
        return self.columns


class Streamed:
    __module__ = "datasets.iterable_dataset"


class Several(dict):
    __module__ = "datasets.dataset_dict"


ROWS = np.random.default_rng(0).normal(size=(40, 4)).astype("f4")
CLASSES = np.arange(40) % 3


def test_numbers_in_columns_are_a_table_and_its_label_the_targets():
    data = Stored({name: ROWS[:, i] for i, name in enumerate("abcd")} | {"label": CLASSES})
    net = nfa.MLP(4, [8], n_outputs=3)
    audit = nfa.audit(net, data)
    same(audit, nfa.audit(net, (pd.DataFrame(ROWS, columns=list("abcd")), CLASSES)))
    assert audit.about.feature_names == tuple("abcd")


@pytest.mark.parametrize("target", ["label", "labels"])
def test_one_column_of_arrays_goes_to_the_network_s_first_argument(target):
    net = nfa.MLP(4, [8], n_outputs=3)
    same(nfa.audit(net, Stored({"pixel_values": ROWS, target: CLASSES})), nfa.audit(net, (ROWS, CLASSES)))


class Masked(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.Linear(4, 3)

    def forward(self, x, mask):
        return self.layers(x * mask)


def test_several_columns_go_by_name_and_columns_out_of_the_format_are_left_out():
    mask = np.ones_like(ROWS)
    data = Stored({"mask": mask, "x": ROWS, "text": ["a"] * 40}, ["x", "mask"])
    audit = nfa.audit(Masked(), data)
    assert audit.score is None
    assert set(paired(data)[0]) == {"x", "mask"}


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (Several(train=Stored({"x": ROWS})), r"a dict of the data sets train; hand over one, such as data\['train'\]"),
        (Streamed(), r"streamed; datasets.Dataset.from_list\(list\(data.take\(1000\)\)\) holds"),
        (Stored({"x": ROWS, "text": ["a"] * 40}), r"'text' holds no numbers; data.select_columns\(\['x'\]\) leaves"),
        (
            Stored({"x": np.array([[1], [1, 2]], dtype=object)}),
            r"unequal lengths; tokenizer\(..., padding='max_length'",
        ),
        (Stored({"label": CLASSES}), "no column but label, and no inputs among them"),
        (Stored({"x": ROWS, "label": CLASSES, "labels": CLASSES}), r"data.remove_columns\(\"label\"\) leaves one"),
    ],
)
def test_a_data_set_that_cannot_be_read_is_refused_with_the_call_that_works(data, message):
    with pytest.raises(nfa.InputError, match=message):
        unpacked(data)


def test_real_data_sets_of_hugging_face_where_they_are_installed():
    datasets = pytest.importorskip("datasets")
    net = nfa.MLP(4, [8], n_outputs=3)
    expected = nfa.audit(net, (ROWS, CLASSES))
    data = datasets.Dataset.from_dict({"x": ROWS.tolist(), "label": CLASSES.tolist()})
    same(nfa.audit(net, data), expected)
    same(nfa.audit(net, data.with_format("torch")), expected)
    same(nfa.audit(net, DataLoader(data.with_format("torch"), 16)), expected)
    for other in (datasets.DatasetDict(train=data), data.to_iterable_dataset()):
        with pytest.raises(nfa.InputError):
            nfa.audit(net, other)


@pytest.mark.parametrize("target", ["label", "labels"])
def test_a_loader_of_dicts(target):
    rows = [{"image": torch.from_numpy(row), target: int(label)} for row, label in zip(ROWS, CLASSES, strict=True)]
    net = nfa.MLP(4, [8], n_outputs=3)
    same(nfa.audit(net, DataLoader(rows, 16)), nfa.audit(net, (ROWS, CLASSES)))


def test_two_names_of_labels_in_a_dict_are_refused():
    with pytest.raises(nfa.InputError, match='both "label" and "labels"; hand over'):
        nfa.audit(nn.Linear(4, 3), {"x": ROWS, "label": CLASSES, "labels": CLASSES})


def test_a_dict_that_the_network_cannot_take_shows_the_call_that_works():
    rows = {"image": ROWS, "place": ROWS}
    with pytest.raises(
        nfa.InputError, match=r"forward_args=lambda batch: batch\['image'\] hands over that input alone"
    ):
        nfa.audit(nn.Linear(4, 3), rows)
    nfa.audit(nn.Linear(4, 3), rows, forward_args=lambda batch: batch["image"])


FRAME = pd.DataFrame({"a": [1.0, 2.0], "b": ["u", "v"]})


class Polar:
    def to_pandas(self):
        return FRAME


@pytest.mark.parametrize(
    ("data", "call"),
    [
        ("digits", r"nfa.load_data\('digits'\) reads names and files"),
        ((row for row in ROWS), r"torch.stack\(list\(rows\)\) holds the rows of an iterator"),
        (Polar(), r"data.to_pandas\(\) is a data frame"),
        (object(), r"hand over X or \(X, y\) with X of n rows"),
        (FRAME, r"pandas.get_dummies\(X\) makes numbers of it, X.select_dtypes\('number'\) leaves it out"),
        (ROWS[:, 0], r"X\[:, None\] is one feature, X\[None\] one sample"),
        (DataLoader([(torch.zeros(4), "a")] * 3), r"torch.tensor\(targets\) in its collate_fn"),
    ],
)
def test_a_refusal_shows_the_call_that_works(data, call):
    with pytest.raises(nfa.InputError, match=call):
        nfa.audit(nn.Linear(4, 3), data)


@pytest.mark.parametrize("kinds", [{}, {"flag": "boolean"}, {"count": "Int64"}, {"count": "Int64", "flag": "boolean"}])
def test_a_frame_of_numbers_truth_values_and_columns_that_may_be_missing(kinds):
    frame = pd.DataFrame({"count": [1, 2, 3], "size": [0.5, 1.5, -1.0], "flag": [True, False, True]})
    rows = as_samples(frame.astype(kinds)).first(3)
    assert rows.tolist() == [[1.0, 0.5, 1.0], [2.0, 1.5, 0.0], [3.0, -1.0, 1.0]]


def test_a_missing_number_of_a_frame_is_refused():
    frame = pd.DataFrame({"count": pd.array([1, None, 3], dtype="Int64"), "flag": [True, False, True]})
    with pytest.raises(InputError, match="nan at row 1, column 'count'"):
        nfa.audit(torch.nn.Linear(2, 2), frame)
