"""What a fitted machine says of its features: eigenvectors of M, gradients row by row, predictions by stages."""

import pickle

import numpy as np
import pytest
import torch
from helpers import gaussian
from rfm import kernel_reference as reference
from rfm.bare import BareRegressor
from sklearn.decomposition import PCA
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline

from nfa import InputError
from nfa.rfm import RFMClassifier, RFMClassifierCV, RFMRegressor, RFMRegressorCV, load

X = gaussian(40, 4).numpy()
NEW = gaussian(9, 4, seed=5).numpy()
Y = X[:, 0] ** 2 + X[:, 1]
LABELS = np.array(["a", "b", "c"])[np.digitize(X[:, 0], [-0.4, 0.4])]
FEW = {"kernels": ["laplace"], "bandwidths": [1.0], "ridges": [0.1], "max_iters": 2, "cv": 2}


@pytest.mark.parametrize("k", [None, 2])
def test_components_are_the_top_eigenvectors_with_signs(k):
    model = RFMRegressor(n_components=k).fit(X, Y)
    V = model.components_
    assert V.shape == (k or 4, 4)
    np.testing.assert_allclose(V @ V.T, np.eye(len(V)), atol=1e-12)
    values = np.linalg.eigvalsh(model.M_)[::-1][: len(V)]
    np.testing.assert_allclose(V @ model.M_, values[:, None] * V, atol=1e-12)
    assert (V[np.arange(len(V)), np.abs(V).argmax(1)] > 0).all()
    np.testing.assert_allclose(model.transform(NEW), NEW @ V.T, atol=1e-12)
    np.testing.assert_allclose(model.fit_transform(X, Y), X @ V.T, atol=1e-12)
    assert model.get_feature_names_out().tolist() == [f"rfmregressor{number}" for number in range(len(V))]


def test_components_of_a_diagonal_matrix_are_columns():
    model = RFMRegressor(diag=True, n_components=3).fit(X, Y)
    np.testing.assert_array_equal(model.components_, np.eye(4)[np.argsort(-model.M_, kind="stable")[:3]])


def test_features_go_on_to_other_estimators_and_frames():
    pipeline = make_pipeline(RFMRegressor(n_components=2), Ridge()).fit(X, Y)
    assert pipeline.predict(NEW).shape == (9,)
    table = RFMRegressor(n_components=2).set_output(transform="pandas").fit(X, Y).transform(NEW)
    assert list(table.columns) == ["rfmregressor0", "rfmregressor1"]
    assert RFMRegressor(n_components=2).fit(X.astype(np.float32), Y).transform(NEW).dtype == np.float32
    assert PCA(2).fit(X).components_.shape == RFMRegressor(n_components=2).fit(X, Y).components_.shape


def test_directions_that_M_does_not_know_are_no_components():
    """Rows that span 3 of 6 directions; as many vectors as are asked for, all the same."""
    rows = X[:, :3] @ gaussian(3, 6, seed=9).numpy()
    assert RFMRegressor().fit(rows, Y).components_.shape == (3, 6)
    assert RFMRegressor(n_components=5).fit(rows, Y).components_.shape == (5, 6)


@pytest.mark.parametrize(
    ("k", "message"),
    [(5, "got 5, but M has 4 columns"), (0, "got 0, expected a whole number"), ("all", "got 'all', expected a whole")],
)
def test_numbers_of_components_that_cannot_be(k, message):
    with pytest.raises(InputError, match=rf"^n_components: {message}"):
        RFMRegressor(n_components=k).fit(X, Y)


@pytest.mark.parametrize("targets", [Y, np.column_stack([Y, X[:, 2] - Y])], ids=["one", "two"])
@pytest.mark.parametrize("options", [{}, {"diag": True}, {"n_iters": 0}], ids=str)
@pytest.mark.parametrize("kernel", ["laplace", "gaussian", "power", "quadratic", "l1"])
def test_gradients_are_those_of_autograd(kernel, options, targets):
    """Of f(x) = sum_i a_i k(x, x_i), written anew with the fitted M, bandwidth and ridge."""
    q = {"exponent": 0.7} if kernel == "power" else {}
    model = BareRegressor(kernel, **q, ridge=0.1, **options).fit(X + 3, targets)
    M = torch.from_numpy(model.M_ if model.M_.ndim == 2 else np.diag(model.M_))
    rows, given = torch.from_numpy(X + 3), (M, model.bandwidth_, q.get("exponent", 1.0))
    K = reference.matrix(kernel, rows, rows, *given)
    a = torch.linalg.solve(K + 0.1 * torch.eye(40), torch.from_numpy(targets.reshape(40, -1)))
    expected = reference.jacobians(kernel, torch.from_numpy(NEW + 3), rows, a, *given).numpy()
    found = model.gradients(NEW + 3)
    assert found.shape == ((9, 4) if targets.ndim == 1 else (9, 2, 4))
    np.testing.assert_allclose(found.reshape(expected.shape), expected, atol=1e-7 * np.abs(expected).max())


@pytest.mark.parametrize("kernel", ["laplace", "l1", "quadratic"])
def test_the_mean_outer_product_of_gradients_is_the_agop(kernel):
    """Also at training rows, where the pair of a row with itself counts 0, and for classes."""
    model = RFMClassifier(kernel, n_iters=1, ridge=0.1).fit(X, LABELS)
    for rows in (X, NEW):
        J = model.gradients(rows)
        assert J.shape == (len(rows), 3, 4)
        np.testing.assert_allclose(np.einsum("mci,mcj->ij", J, J) / len(rows), model.agop(rows), atol=1e-10)


@pytest.mark.parametrize("scale", [1e-30, 1e30])
def test_gradients_of_any_size(scale):
    model = RFMRegressor(ridge=0.1).fit((X * scale).astype(np.float32), Y)
    plain = RFMRegressor(ridge=0.1).fit(X.astype(np.float32), Y).gradients(NEW)
    np.testing.assert_allclose(model.gradients(NEW * scale) * scale, plain, atol=1e-3 * np.abs(plain).max())


@pytest.mark.parametrize("options", [{}, {"diag": True}, {"M_init": np.diag([1.0, 2.0, 1.0, 0.0])}], ids=str)
@pytest.mark.parametrize("kind", [RFMRegressor, RFMClassifier])
def test_stages_are_the_machines_of_fewer_updates(kind, options):
    y = Y if kind is RFMRegressor else LABELS
    weights = np.arange(40) % 3
    rows = X.copy()
    model = kind(n_iters=3, **options).fit(rows, y, weights)
    rows *= 7  # what was fitted does not change with the array
    for again in (model, pickle.loads(pickle.dumps(model))):
        found = list(again.staged_predict(NEW))
        assert len(found) == 4
        for updates, each in enumerate(found):
            np.testing.assert_array_equal(each, kind(n_iters=updates, **options).fit(X, y, weights).predict(NEW))


def test_stages_grow_with_a_staged_fit_and_are_no_part_of_a_file(tmp_path):
    for updates, model in enumerate(RFMRegressor(n_iters=2).staged_fit(X, Y)):
        assert len(list(model.staged_predict(NEW))) == updates + 1
    model.save(tmp_path / "m")
    with pytest.raises(
        InputError, match=r"^staged_predict: a machine from a file has its last stage alone; fit it again$"
    ):
        load(tmp_path / "m").staged_predict(NEW)


def test_a_search_has_the_features_of_the_machine_it_chose():
    search = RFMRegressorCV(**FEW, n_components=2).fit(X, Y)
    best = search.best_estimator_
    for name in ("predict", "transform", "gradients"):
        np.testing.assert_array_equal(getattr(search, name)(NEW), getattr(best, name)(NEW))
    np.testing.assert_array_equal(search.components_, best.components_)
    assert search.get_feature_names_out().tolist() == ["rfmregressorcv0", "rfmregressorcv1"]
    assert len(list(search.staged_predict(NEW))) == search.best_params_["n_iters"] + 1


def test_class_weights_are_weights_of_rows():
    for weights, each in (({"a": 5, "c": 0.5}, {"a": 5, "b": 1, "c": 0.5}), ("balanced", None)):
        if each is None:
            names, counts = np.unique(LABELS, return_counts=True)
            each = {name: 40 / 3 / count for name, count in zip(names, counts, strict=True)}
        rows = np.array([each[label] for label in LABELS])
        weighted = RFMClassifier(class_weight=weights).fit(X, LABELS)
        np.testing.assert_allclose(weighted.predict_proba(NEW), RFMClassifier().fit(X, LABELS, rows).predict_proba(NEW))
        twice = RFMClassifier(class_weight=weights).fit(X, LABELS, np.full(40, 2.0))
        factor = 2.0 if weights != "balanced" else 1.0
        expected = RFMClassifier().fit(X, LABELS, factor * rows * (2.0 if weights == "balanced" else 1.0))
        np.testing.assert_allclose(twice.predict_proba(NEW), expected.predict_proba(NEW))


def test_balanced_classes_take_no_notice_of_rows_that_count_nothing():
    counts = np.arange(40) % 3
    weighted = RFMClassifier(class_weight="balanced").fit(X, LABELS, counts)
    repeated = RFMClassifier(class_weight="balanced").fit(np.repeat(X, counts, 0), np.repeat(LABELS, counts))
    np.testing.assert_allclose(weighted.predict_proba(NEW), repeated.predict_proba(NEW), atol=1e-9)


def test_a_search_weighs_classes_in_fits_and_losses():
    rows = np.where(LABELS == "a", 5.0, 1.0)
    weighted = RFMClassifierCV(**FEW, class_weight={"a": 5}).fit(X, LABELS)
    expected = RFMClassifierCV(**FEW).fit(X, LABELS, rows)
    np.testing.assert_allclose(weighted.cv_results_["loss"], expected.cv_results_["loss"])
    np.testing.assert_allclose(weighted.predict_proba(NEW), expected.predict_proba(NEW))


@pytest.mark.parametrize("class_weight", [{"a": 5, "b": 1, "c": 0.5}, {"a": 7}, {"b": 0}, "balanced"])
@pytest.mark.parametrize("temperature", ["auto", None])
def test_a_search_weighs_held_out_rows_by_their_classes(class_weight, temperature):
    labels, given = LABELS[:30], 1.0 + np.arange(30) % 2
    if class_weight == "balanced":
        each = {name: given.sum() / 3 / given[labels == name].sum() for name in "abc"}
    else:
        each = {"a": 1, "b": 1, "c": 1} | class_weight
    model = RFMClassifierCV(**FEW, class_weight=class_weight, temperature=temperature)
    model.fit(X[:30], labels, given, validation=(X[30:], LABELS[30:]))
    for row in model.cv_results_.to_dict("records"):
        parameters = {name: row[name] for name in model.best_params_ if name in row}
        one = RFMClassifier(agop_power=1.0, class_weight=class_weight, temperature=None).set_params(**parameters)
        found = one.fit(X[:30], labels, given).predict(X[30:])
        shares = [each[label] for label in LABELS[30:]]
        assert row["score"] == pytest.approx(np.average(found == LABELS[30:], weights=shares))
    with pytest.raises(InputError, match=r"^validation: every row is of a class of weight 0"):
        RFMClassifierCV(**FEW, class_weight={"b": 0}).fit(X, LABELS, validation=(X[:1], ["b"]))


def test_a_class_weight_may_be_that_of_a_class_of_rows_left_out():
    without = LABELS != "c"
    weighted = RFMClassifier(class_weight={"a": 5, "b": 1, "c": 9}).fit(X[without], LABELS[without])
    expected = RFMClassifier(class_weight={"a": 5, "b": 1}).fit(X[without], LABELS[without])
    np.testing.assert_array_equal(weighted.predict_proba(NEW), expected.predict_proba(NEW))


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ("equal", "got 'equal', expected None, 'balanced' or a dict of labels"),
        ({"d": 1}, "has the label 'd', which y does not, and none for y's 'b'"),
        ({"a": 1, "b": 1, "C": 1}, "has the label 'C', which y does not, and none for y's 'c'"),
        ({"a": -1}, "got -1, expected a number of at least 0"),
    ],
)
def test_class_weights_that_cannot_be(weights, message):
    with pytest.raises(InputError, match=rf"^class_weight: {message}"):
        RFMClassifier(class_weight=weights).fit(X, LABELS)
