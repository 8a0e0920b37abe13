"""Classes: labels of any type, probabilities."""

import pickle
from functools import partial

import numpy as np
import pytest
import torch
from helpers import gaussian
from sklearn.base import clone
from sklearn.model_selection import cross_val_score

from nfa import InputError
from nfa.rfm import DeepRFMClassifier, RFMClassifier, RFMClassifierCV, RFMRegressor
from nfa.rfm.losses import log_probabilities

X = gaussian(60, 3).numpy()
NEW = gaussian(25, 3, seed=7).numpy()
TWO = (X[:, 0] > 0).astype(int)
THREE = np.digitize(X[:, 0], [-0.4, 0.4])
FEW = {"kernels": ["laplace"], "bandwidths": [1.0], "ridges": [0.1], "max_iters": 1, "cv": 2}


class Size(str):
    """Text of another class."""

    __slots__ = ()


KINDS = {
    "str": np.array(["low", "mid", "top"]),
    "int": np.array([-5, 0, 9]),
    "unsigned": np.array([1, 2, 200], dtype=np.uint8),
    "float": np.array([0.0, 1.0, 2.0]),
    "bool": np.array([False, True]),
    "object of str": np.array(["low", "mid", "top"], dtype=object),
    "object of int": np.array([1, 20, 300], dtype=object),
    "object of bool": np.array([False, True], dtype=object),
    "object of tuples": None,
}


def labelled(kind):
    if kind == "object of tuples":
        names = np.empty(3, dtype=object)
        names[:] = [(0, "a"), (0, "b"), (1, "a")]
    else:
        names = KINDS[kind]
    return names[THREE if len(names) == 3 else TWO], names


@pytest.mark.parametrize("kind", KINDS)
def test_labels_of_any_type(kind):
    y, names = labelled(kind)
    model = RFMClassifier(ridge=1e-6).fit(X, y)
    assert model.classes_.tolist() == names.tolist()
    assert model.predict(X).dtype == names.dtype
    assert model.predict(X).tolist() == y.tolist()
    assert model.predict_proba(NEW).shape == (25, len(names))
    if kind != "object of tuples":  # scikit-learn's accuracy knows them not
        assert pickle.loads(pickle.dumps(model)).predict(NEW).tolist() == model.predict(NEW).tolist()


@pytest.mark.parametrize("kind", [torch.int64, torch.int8, torch.bool, torch.float32, torch.bfloat16])
def test_labels_as_tensors(kind):
    model = RFMClassifier(ridge=1e-6).fit(X, torch.from_numpy(TWO).to(kind))
    assert model.predict(X).astype(int).tolist() == TWO.tolist()


def test_labels_that_cannot_be():
    mixed = np.array([1, "a"] * 30, dtype=object)
    with pytest.raises(InputError, match=r"^y: labels of kinds that cannot be sorted, expected those of one kind$"):
        RFMClassifier().fit(X, mixed)
    with pytest.raises(ValueError, match="Unknown label type: continuous"):
        RFMClassifier().fit(X, X[:, 0])
    with pytest.raises(ValueError, match="y should be a 1d array"):
        RFMClassifier().fit(X, X > 0)
    with pytest.raises(ValueError, match="Input y contains NaN"):
        RFMClassifier().fit(X, np.where(TWO, 1.0, np.nan))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("y", [TWO, THREE], ids=["two", "three"])
def test_outputs_are_regressions_on_one_hot_targets(y, dtype):
    rows, new = X.astype(dtype), NEW.astype(dtype)
    model = RFMClassifier(n_iters=2, ridge=0.01, scale=None, temperature=None).fit(rows, y)
    options = {"n_iters": 2, "ridge": 0.01, "scale": None, "scale_targets": False}
    outputs = RFMRegressor(**options).fit(rows, np.eye(y.max() + 1)[y]).predict(new)
    np.testing.assert_array_equal(model.predict(new), outputs.argmax(1))
    p, decision = model.predict_proba(new), model.decision_function(new)
    assert p.dtype == decision.dtype == dtype
    np.testing.assert_allclose(p, log_probabilities(torch.from_numpy(outputs)).exp(), rtol=1e-6)
    np.testing.assert_allclose(p.sum(1), 1, rtol=1e-6)
    assert (p > 0).all()
    np.testing.assert_array_equal(p.argmax(1), model.predict(new))
    np.testing.assert_array_equal(model.outputs(new), outputs)


@pytest.mark.parametrize("options", [{}, {"temperature": None}, {"temperature": 0.3}, {"fit_intercept": False}])
@pytest.mark.parametrize("kind", [RFMClassifier, partial(DeepRFMClassifier, width=20), partial(RFMClassifierCV, **FEW)])
@pytest.mark.parametrize("y", [TWO, THREE], ids=["two", "three"])
def test_decisions_are_logarithms_of_probabilities_in_every_case(y, kind, options):
    model = kind()
    model.set_params(**{name: value for name, value in options.items() if name in model.get_params()}).fit(X, y)
    decision, p = model.decision_function(NEW), model.predict_proba(NEW)
    expected = np.log(p) if y is THREE else np.log(p[:, 1] / p[:, 0])
    np.testing.assert_allclose(decision, expected, rtol=1e-9, atol=1e-9)
    chosen = decision.argmax(1) if y is THREE else (decision > 0).astype(int)
    np.testing.assert_array_equal(model.predict(NEW), chosen)
    np.testing.assert_array_equal(model.predict(NEW), p.argmax(1))


@pytest.mark.parametrize("kind", [RFMClassifier, partial(RFMClassifierCV, **FEW)])
def test_gradients_are_those_of_the_outputs(kind):
    model, step = kind().fit(X, THREE), 1e-5
    J = model.gradients(NEW)
    for column in range(3):
        move = step * np.eye(3)[column]
        change = (model.outputs(NEW + move) - model.outputs(NEW - move)) / (2 * step)
        np.testing.assert_allclose(J[:, :, column], change, atol=1e-6 * np.abs(J).max())


def test_a_single_class():
    model = RFMClassifier().fit(X, ["only"] * 60)
    assert set(model.predict(NEW)) == {"only"}
    np.testing.assert_array_equal(model.predict_proba(NEW), np.ones((25, 1)))
    assert model.decision_function(NEW).shape == (25, 1)


def test_one_row_and_two():
    assert RFMClassifier().fit(X[:1], ["a"]).predict(NEW[:2]).tolist() == ["a", "a"]
    assert RFMClassifier().fit(X[:2], ["b", "a"]).predict(X[:2]).tolist() == ["b", "a"]


def test_weights():
    counts = np.arange(60) % 3
    weighted = RFMClassifier().fit(X, THREE, counts)
    repeated = RFMClassifier().fit(np.repeat(X, counts, 0), np.repeat(THREE, counts))
    np.testing.assert_allclose(weighted.predict_proba(NEW), repeated.predict_proba(NEW), atol=1e-9)
    # A class without weight is none.
    assert RFMClassifier().fit(X, THREE, (THREE != 1).astype(float)).classes_.tolist() == [0, 2]


def test_it_works_with_scikit_learn():
    model = RFMClassifier(n_iters=1)
    assert cross_val_score(model, X, THREE, cv=3, scoring="neg_log_loss").shape == (3,)
    assert cross_val_score(clone(model), X, TWO, cv=3, scoring="roc_auc").min() > 0.8
