"""One rule for labels: one table of cases, through every door that takes targets beside a network's outputs."""

import warnings

import numpy as np
import pandas as pd
import pytest
import torch
from helpers import gaussian
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import nfa
from nfa.data.labels import Answers, class_labels, codes_of, read_targets
from nfa.data.targets import target_array
from nfa.network import Model, score, train
from nfa.rfm import DeepRFM, LayerwiseRFM, RFMClassifier

X = gaussian(60, 4).numpy()
SORTED = "Classes in sorted order are outputs 0 to"


def network(c, threshold=0.0):
    """A network whose outputs are the first inputs, and the class numbers it answers with."""
    net = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, c)).double()
    with torch.no_grad():
        net[0].weight.copy_(torch.eye(4))
        net[0].bias.fill_(10.0)
        net[2].weight.copy_(torch.eye(c, 4))
        net[2].bias.fill_(threshold - 10.0)
    return net.eval(), (X[:, 0] > 0).astype(int) if c == 1 else X[:, :c].argmax(1)


def case(labels, c, *, ending=None, names=None, mse=False, kind="classes", wrong="", note="", cast=np.asarray):
    """Labels in the order of the outputs, and what they are: of a `kind`, or not to be told to outputs (`wrong`)."""
    return labels, c, ending, names, mse, kind, wrong, note, cast


def of(dtype):
    return lambda y: np.asarray(y).astype(dtype)


def one_hot(y):
    return np.eye(3)[y]


CASES = {
    "int8": case([0, 1, 2], 3, cast=of(np.int8)),
    "uint8": case([0, 1, 2], 3, cast=of(np.uint8)),
    "int64, softmax": case([0, 1, 2], 3, ending="softmax"),
    "whole float64": case([0, 1, 2], 3, cast=of(np.float64)),
    "whole float16": case([0, 1, 2], 3, cast=of(np.float16)),
    "list": case([0, 1, 2], 3, cast=list),
    "column": case([0, 1, 2], 3, cast=lambda y: np.asarray(y)[:, None]),
    "real column": case([0, 1, 2], 3, cast=lambda y: np.asarray(y, dtype=float)[:, None]),
    "tensor": case([0, 1, 2], 3, cast=lambda y: torch.tensor(np.asarray(y))),
    "bfloat16": case([0, 1, 2], 3, cast=lambda y: torch.tensor(np.asarray(y)).bfloat16()),
    "objects, as many as 12": case(range(12), 12, cast=of(object)),
    "Int64": case([0, 1, 2], 3, cast=lambda y: pd.Series(y, dtype="Int64")),
    "categories": case([0, 1, 2], 3, cast=lambda y: pd.Series(y).astype("category")),
    "one-hot": case([0, 1, 2], 3, cast=one_hot),
    "text": case(["a", "b", "c"], 3, note=SORTED),
    "bytes": case(["a", "b", "c"], 3, note=SORTED, cast=of("S1")),
    "objects of text": case(["a", "b", "c"], 3, note=SORTED, cast=of(object)),
    "pandas text": case(["a", "b", "c"], 3, note=SORTED, cast=lambda y: pd.Series(y, dtype="string")),
    "text categories": case(["a", "b", "c"], 3, note=SORTED, cast=lambda y: pd.Series(y).astype("category")),
    "text, softmax": case(["a", "b"], 2, ending="softmax", note=SORTED),
    "named text": case(["c", "a", "b"], 3, names=("c", "a", "b")),
    "named bytes": case(["c", "a", "b"], 3, names=("c", "a", "b"), cast=of("S1")),
    "named numbers": case([8, 3, 5], 3, names=("8", "3", "5")),
    "named real numbers": case([8.0, 3.0, 5.0], 3, names=("8", "3", "5")),
    "named one-hot": case([0, 1, 2], 3, names=("c", "a", "b"), cast=one_hot),
    "outputs of named text": case([0, 1, 2], 3, names=("c", "a", "b")),
    "named truth": case([False, True], 2, names=("False", "True")),
    "logit 0, 1": case([0, 1], 1),
    "logit truth": case([False, True], 1),
    "logit text": case(["a", "b"], 1, note=SORTED),
    "logit 1, 2": case([1, 2], 1, kind="numbers"),
    "logit -1, 1": case([-1, 1], 1, kind="numbers"),
    "logit 0.0, 1.0": case([0.0, 1.0], 1, kind="numbers"),
    "logit named 1, 2": case([1, 2], 1, names=("1", "2")),
    "logit named 2, 1": case([2, 1], 1, names=("2", "1")),
    "logit named -1, 1": case([-1.0, 1.0], 1, names=("-1", "1")),
    "sigmoid 0, 1": case([0, 1], 1, ending="sigmoid"),
    "sigmoid truth": case([False, True], 1, ending="sigmoid"),
    "sigmoid text": case(["a", "b"], 1, ending="sigmoid", note=SORTED),
    "sigmoid 1, 2": case([1, 2], 1, ending="sigmoid", note=SORTED),
    "sigmoid -1, 1": case([-1, 1], 1, ending="sigmoid", note=SORTED),
    "sigmoid 0, 2": case([0, 2], 1, ending="sigmoid", note=SORTED),
    "sigmoid named 2, 1": case([2, 1], 1, ending="sigmoid", names=("2", "1")),
    "sigmoid 0.0, 1.0": case([0.0, 1.0], 1, ending="sigmoid", kind="numbers"),
    "sigmoid objects 1, 2": case([1, 2], 1, ending="sigmoid", note=SORTED, cast=of(object)),
    "numbers by mse": case([0, 1], 1, mse=True, kind="numbers"),
    "classes by mse": case([0, 1, 2], 3, mse=True),
    "beyond the outputs": case(
        [7, 8, 9], 3, wrong="classes 7 to 9, but the network has outputs 0 to 2; classes= (--classes)"
    ),
    "from 1": case([1, 2, 3], 3, wrong="classes 1 to 3, but the network has outputs 0 to 2; classes= (--classes)"),
    "below 0": case([-1, 1], 2, wrong="classes -1 to 1, but the network has outputs 0 to 1; classes= (--classes)"),
    "sigmoid, one class": case([5, 5], 1, ending="sigmoid", wrong="classes 5 to 5, but the network has outputs 0 to 1"),
    "not the names": case(["c", "a", "x"], 3, names=("c", "a", "b"), wrong="class 'x' is not among the network's"),
    "not the numbers": case([8, 3, 4], 3, names=("8", "3", "5"), wrong="class '4' is not among the network's"),
}

REFUSED = {
    "missing": (lambda y: [None, *y[1:]], "y: no value at row 0"),
    "NA": (lambda y: pd.Series([pd.NA, *y[1:]], dtype="Int64"), "y: no value at row 0"),
    "NaN as an object": (lambda y: np.array([*y[:-1], np.nan], dtype=object), "y: no value at row 59"),
    "mixed": (lambda y: np.array(["a", *y[1:]], dtype=object), r"y: labels of several kinds \(int, text\), expected"),
    "mixed list": (lambda y: ["a", *y[1:]], r"y: labels of several kinds \(int, text\), expected those of one kind"),
    "dates": (lambda y: np.array(y, dtype="datetime64[D]"), r"y: holds datetime64\[D\], expected labels or numbers"),
    "whole numbers in columns": (lambda y: np.eye(3, dtype=int)[y], r"y: whole numbers of shape \(60, 3\); give class"),
    "truth in columns": (lambda y: np.eye(3, dtype=bool)[y], r"y: whole numbers of shape \(60, 3\); give class"),
    "text in columns": (lambda y: np.eye(3)[y].astype(str), r"y: text of shape \(60, 3\); give class numbers"),
}

DOORS = {
    "audit": lambda model, y: nfa.audit(model, (X, y)),
    "score": lambda model, y: score(model, (X, y)),
    "substitute": lambda model, y: nfa.substitute(model, (X, y), draws=1),
    "layerwise": lambda model, y: LayerwiseRFM.from_network(model, X, y, progress=False),
    "deep": lambda model, y: DeepRFM.from_network(model, X, y, features="nfm"),
    "deep, random": lambda model, y: DeepRFM.from_network(model, X, y, transport="random"),
}


def made(name):
    """A model, its targets, the class numbers they are, and what is expected."""
    labels, c, ending, names, mse, *_, cast = CASES[name]
    width = min(c, 4)
    net, codes = network(width)
    if c > 4:  # outputs that no input makes are never the largest
        wide = nn.Linear(4, c).double()
        with torch.no_grad():
            wide.weight.zero_()
            wide.bias.fill_(-1e3)
            places = [1, 2, 10, 11]
            wide.weight[places] = torch.eye(4, dtype=torch.float64)
            wide.bias[places] = -10.0
        net[2], codes = wide, np.array(places)[codes]
    y = cast(np.asarray(labels)[codes])
    return Model(net, "net", classes=names, ending=ending, settings={"loss": "mse"} if mse else {}), y, codes


@pytest.mark.parametrize("name", CASES)
def test_every_door_reads_the_same(name):
    _, c, *_, kind, wrong, note, _ = CASES[name]
    model, y, codes = made(name)
    read = read_targets(y, model.answers(c))
    assert read.are_classes == (kind == "classes")
    if kind == "classes" and not wrong:
        assert read.encoded().tolist() == codes.tolist()
        assert read.codes_of(read.values).tolist() == codes.tolist()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        machines, deep = DOORS["layerwise"](model, y), None
        if not (wrong and read.values.dtype.kind == "U" and model.classes is None):
            deep = DOORS["deep"](model, y)
    assert (machines.classes_ is not None) == (kind == "classes")
    assert (deep.classes_ is not None) == (kind == "classes")
    table = machines.score_frame(X, y)
    assert set(table["metric"]) == {"error rate" if kind == "classes" else "1 - R^2"}
    if wrong:
        for door in ("audit", "score", "substitute"):
            with pytest.raises(nfa.InputError) as caught:
                DOORS[door](model, y)
            assert wrong in str(caught.value)
        assert table["network_error"].isna().all()
        assert table["note"].str.contains(wrong, regex=False).all()
        return
    audit, scored, found = (DOORS[door](model, y) for door in ("audit", "score", "substitute"))
    assert (audit.score.metric, scored.metric) == (("accuracy",) * 2 if kind == "classes" else ("r2",) * 2)
    assert scored == audit.score
    assert found.about["metric"] == scored.metric
    assert found.about["score_before"] == pytest.approx(scored.value)
    notes = audit.about.notes
    assert any(each.startswith(note) for each in notes) if note else not notes
    if kind == "classes":
        assert scored.value == 1.0
        assert set(table["network_error"]) == {0.0}
        assert deep.score(X, y) == 1.0
        assert (deep.predict(X) == read.values).all()
        if note:
            assert any(each.startswith(note) for each in deep.notes_)
            assert table["note"].str.contains(note).all()


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("name", REFUSED)
def test_every_door_refuses_the_same(name, door):
    cast, message = REFUSED[name]
    net, codes = network(3)
    with pytest.raises(nfa.InputError, match=message):
        DOORS[door](Model(net, "net"), cast(codes.tolist()))


@pytest.mark.parametrize("door", DOORS)
def test_text_that_cannot_be_told_to_outputs_names_the_call(door):
    net, codes = network(3)
    y = np.array(["a", "b", "b"])[codes]
    message = (
        r"y: has 2 classes called by text, but the network tells 3 apart; classes= \(--classes\) says which output"
    )
    if door == "layerwise":  # a machine needs no output
        table = DOORS[door](Model(net, "net"), y).score_frame(X, y)
        assert table["note"].str.contains(message).all()
        return
    with pytest.raises(nfa.InputError, match=message):
        DOORS[door](Model(net, "net"), y)


@pytest.mark.parametrize("labels", [(0, 1), (1, 2), (-1, 1)])
@pytest.mark.parametrize("ending", [None, "sigmoid"])
def test_a_data_set_is_read_as_arrays_are(labels, ending):
    net, codes = network(1)
    model, y = Model(net, "net", ending=ending), np.array(labels)[codes]
    kind = "accuracy" if labels == (0, 1) or ending else "r2"
    named = nfa.Dataset(X, codes, class_names=tuple(str(each) for each in labels))
    for data in ((X, y), nfa.Dataset(X, y), named):
        assert nfa.audit(model, data).score.metric == kind
    text = nfa.Dataset(X, codes, class_names=("spam", "ham"))
    [note] = nfa.audit(model, text).about.notes
    assert note.startswith("Classes in the order of the data are outputs 0 to 1: spam, ham;")


def test_a_loader_is_read_by_names_and_has_no_sorted_order():
    net, codes = network(1)
    loader = DataLoader(TensorDataset(torch.tensor(X), torch.tensor(codes + 1)), batch_size=7)
    with pytest.raises(nfa.InputError, match="classes 1 to 2, but the network has outputs 0 to 1"):
        nfa.audit(Model(net, "net", ending="sigmoid"), loader)
    assert nfa.audit(Model(net, "net", ending="sigmoid"), loader, classes=[1, 2]).score.value == 1.0


@pytest.mark.parametrize("threshold", [0.0, 0.5])
def test_every_door_divides_one_output_at_the_same_place(threshold):
    net, codes = network(1, threshold)
    assert nfa.audit(net, (X, codes)).score.value == score(net, (X, codes)).value == 1.0
    deep = DeepRFM.from_network(net, X, codes, features="nfm")
    assert deep.head_.threshold == threshold
    assert deep.score(X, codes) == 1.0
    assert set(LayerwiseRFM.from_network(net, X, codes).score_frame(X, codes)["network_error"]) == {0.0}


@pytest.mark.parametrize("loss", ["cross_entropy", "onehot_mse", "mse"])
def test_training_reads_them_too(loss):
    net, codes = network(2 if loss == "onehot_mse" else 1)
    metric = "r2" if loss == "mse" else "accuracy"
    done = train(net, nfa.Dataset(X, codes), loss=loss, epochs=1, lr=1e-9)
    if loss == "mse":
        assert done.history["train_score"][0] != 1.0
    else:
        assert done.history["train_score"][0] == 1.0
    assert nfa.audit(Model(net, "net", settings=done.settings), (X, codes)).score.metric == metric
    if loss != "mse":
        with pytest.raises(nfa.InputError, match=r"classes|real targets"):
            train(net, nfa.Dataset(X, codes + 1), loss=loss, epochs=1)


@pytest.mark.parametrize("labels", [[1, 2], ["a", "b"], [-1.0, 1.0], [False, True]])
def test_an_estimators_classes_are_the_same_labels(labels):
    _, codes = network(1)
    y = np.array(labels)[codes]
    machine = RFMClassifier(n_iters=0).fit(X, y)
    read = read_targets(y, Answers(1, "sigmoid", tuple(str(each) for each in labels)))
    assert machine.classes_.tolist() == np.unique(read.values).tolist() == labels
    assert codes_of(y, machine.classes_.tolist())[0].tolist() == read.codes.tolist() == codes.tolist()


@pytest.mark.parametrize(
    ("y", "c", "labels"),
    [
        ([0, 2, 1], 3, [0, 2, 1]),
        ([[0], [2], [1]], 3, [0, 2, 1]),
        ([0.0, 2.0, 1.0], 3, [0, 2, 1]),
        ([[0.0, 1.0], [1.0, 0.0]], 2, [1, 0]),
        (torch.tensor([1, 0]), 2, [1, 0]),
        ([True, False], 1, [True, False]),
        ([0, 1], 1, [0, 1]),
        (["p", "q"], 2, ["p", "q"]),
        ([0, 1, 7], 1, None),
        ([0.0, 1.0], 1, None),
        ([0.5, 1.0], 3, None),
        ([[0.0, 0.5], [1.0, 0.0]], 2, None),
        ([[1.0, 1.0], [1.0, 0.0]], 2, None),
    ],
)
def test_classes_and_numbers_are_told_apart(y, c, labels):
    found = class_labels(target_array(y), c)
    assert labels is None if found is None else found.tolist() == labels


@pytest.mark.parametrize(
    ("classes", "y", "order", "notes"),
    [
        (None, [0, 1, 2], [0, 1, 2], 0),
        (None, [0, 1, 1], [0, 1, 2], 1),
        (None, [0, 1, 5], [0, 1, 2], 1),
        (("c", "a", "b"), ["a", "b", "c"], ["c", "a", "b"], 0),
        (("c", "a", "b"), ["a", "b", "d"], ["c", "a", "b"], 1),
        (("3", "5", "8"), [3, 5, 8], [3, 5, 8], 0),
        (("3", "5", "8"), [0, 1, 2], [3, 5, 8], 1),
    ],
)
def test_outputs_of_a_deep_machine_stand_for_labels(classes, y, order, notes):
    net, _ = network(3)
    targets = np.resize(np.array(y), 60)
    deep = DeepRFM.from_network(Model(net, "net", classes=classes), X, targets, features="nfm")
    assert deep.classes_.tolist() == order
    assert len(deep.notes_) == notes


BIG = 2**53


@pytest.mark.parametrize(
    ("names", "labels"),
    [
        ((str(BIG), str(BIG + 1)), [BIG + 1, BIG]),
        ((str(-BIG - 1), str(-BIG)), [-BIG, -BIG - 1]),
        ((str(2**63), str(2**63 + 1)), np.array([2**63 + 1, 2**63], dtype=np.uint64)),
        (("1_0", "10"), ["10", "1_0"]),
        (("1_0", "10"), [10, 10]),
        (("1", "01"), ["01", "1"]),
        (("1.5", "2.5"), [2.5, 1.5]),
    ],
)
def test_names_of_numbers_stand_for_these_numbers_alone(names, labels):
    found = read_targets(labels, Answers(2, names=names))
    assert found.refusal is None
    assert [names[code] for code in found.codes] == [str(label) for label in np.asarray(labels).tolist()]


@pytest.mark.parametrize("names", [("0", "1_0"), ("0", "\u0661"), ("0", "infinity"), ("1", "01"), ("0", "9" * 5000)])
def test_text_that_python_would_read_as_a_number_is_text(names):
    data = nfa.Dataset(np.eye(2, dtype=np.float32), np.array([0, 1]), class_names=names)
    rows, notes = nfa.network.preparing.prepare(Model(nn.Linear(2, 2), "net"), data)
    assert rows.class_names == names
    assert len(notes) == 1
    if not names[1].isascii() or not names[1].isdigit():
        with pytest.raises(nfa.InputError, match="but mse needs numbers"):
            data.with_real_targets()
