"""Deep machines: against machines and maps put together by hand, and as scikit-learn wants estimators."""

import pickle

import numpy as np
import pandas as pd
import pytest
import torch
from helpers import gaussian
from rfm.bare import PlainClassifier, PlainRegressor
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.metrics import log_loss
from sklearn.utils.estimator_checks import check_estimator

from nfa.common import InputError
from nfa.rfm import DeepRFM, DeepRFMClassifier, DeepRFMRegressor
from nfa.rfm.deep.collapse import neural_collapse
from nfa.rfm.deep.feature_maps import FEATURE_MAPS, unit_rows

X, NEW = gaussian(60, 5).numpy(), gaussian(15, 5, seed=2).numpy()
LABELS = np.array(["a", "b", "c"])[np.abs(X[:, :3]).argmax(1)]
NUMBERS = X[:, 0] ** 2 + X[:, 1]


def unit(values):
    return unit_rows(torch.from_numpy(values)).numpy()


@pytest.mark.parametrize("name", ["relu", "laplace"])
@pytest.mark.parametrize("kind", [DeepRFMClassifier, DeepRFMRegressor])
def test_estimators_follow_scikit_learn(kind, name):
    for result in check_estimator(kind(depth=2, width=32, feature_map=name), on_skip=None, on_fail="raise"):
        assert result["status"] == "passed" or "array_api" in result["check_name"], result


OPTIONS = [{}, {"n_iters": 2, "diag": True}, {"kernel": "gaussian", "n_iters": 0}, {"M_scale": None, "ridge": 0.1}]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("options", OPTIONS)
def test_depth_1_is_a_recursive_feature_machine_on_rows_of_norm_1(options, dtype):
    rows, new = X.astype(dtype), NEW.astype(dtype)
    weights = np.arange(len(X)) % 3
    for deep, flat, y in [(DeepRFMClassifier, PlainClassifier, LABELS), (DeepRFMRegressor, PlainRegressor, NUMBERS)]:
        one = deep(depth=1, **options).fit(rows, y, weights)
        other = flat(**({"n_iters": 1} | options)).fit(unit(rows), y, weights)
        np.testing.assert_array_equal(one._outputs(new), other._outputs(unit(new)))
        np.testing.assert_array_equal(one.predict(new), other.predict(unit(new)))
        np.testing.assert_array_equal(one.M_, other.M_)
        np.testing.assert_array_equal(one.feature_importances_, other.feature_importances_)
        np.testing.assert_array_equal(one.agop(new), other.agop(unit(new)))
        pd.testing.assert_frame_equal(one.history_, other.history_)


def test_depth_1_draws_what_a_machine_alone_draws():
    """Of more than 1,000 rows the median distance is that of some."""
    many = gaussian(1100, 3).numpy()
    one = DeepRFMRegressor(depth=1, random_state=7, agop_samples=100).fit(many, many[:, 0])
    other = PlainRegressor(n_iters=1, random_state=7, agop_samples=100).fit(unit(many), many[:, 0])
    np.testing.assert_array_equal(one.predict(many), other.predict(unit(many)))


def by_hand(rows, phi):
    angles = rows @ phi.directions.numpy()
    values = np.maximum(angles, 0) if phi.phases is None else np.cos(angles + phi.phases.numpy())
    return values / np.linalg.norm(values, axis=1, keepdims=True)


@pytest.mark.parametrize("name", FEATURE_MAPS)
def test_layers_are_machines_and_maps_by_hand(name):
    model = DeepRFMRegressor(depth=3, width=[16, 24], feature_map=name, n_iters=1).fit(X, NUMBERS)
    rows, new = unit(X), unit(NEW)
    assert [layer.M.shape for layer in model.layers_] == [(5, 5), (16, 16), (24, 24)]
    for layer in model.layers_:
        alone = PlainRegressor(n_iters=1).fit(rows, NUMBERS)
        np.testing.assert_allclose(layer.M, alone.M_, rtol=1e-9, atol=1e-12)
        if layer.feature_map is None:
            break
        values, V = np.linalg.eigh(layer.M)  # whose largest entry is 1
        root = (V * np.sqrt(values.clip(0))) @ V.T
        rows, new = (by_hand(values @ root, layer.feature_map) for values in (rows, new))
    np.testing.assert_allclose(model.predict(NEW), alone.predict(new), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", ["gaussian", "laplace"])
def test_fourier_features_are_those_of_the_layers_own_kernel(name):
    F = gaussian(5, 5, seed=4).numpy()
    options = {"kernel": name, "n_iters": 0, "bandwidth": 0.7, "M_init": [5 * F.T @ F, None]}
    layer = DeepRFMRegressor(2, 2000, name, **options).fit(X[:20], NUMBERS[:20]).layers_[0]
    phi = layer.feature_map(layer.rooted(unit_rows(torch.from_numpy(X[:20]))))
    machine = layer.machine
    K = machine.kernel.value(machine.kernel.pairs(machine.points).values, machine.L)
    assert (phi @ phi.T - K).abs().mean() < 2 / 2000**0.5


def test_the_scale_of_M_does_not_matter():
    for name in FEATURE_MAPS:
        found = [
            DeepRFMRegressor(2, 20, name, M_scale=scale, n_iters=2).fit(X, NUMBERS).predict(NEW)
            for scale in ("max", "trace", None)
        ]
        np.testing.assert_allclose(found[1], found[0], rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(found[2], found[0], rtol=1e-5, atol=1e-6)


def test_the_seed_makes_all_of_it():
    first, again, other = (
        DeepRFMClassifier(3, 20, "laplace", random_state=seed).fit(X, LABELS).decision_function(NEW)
        for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, again)
    assert not np.allclose(first, other)
    model = DeepRFMRegressor(3, 20)
    maps = [layer.feature_map for layer in model.fit(X, NUMBERS).layers_]
    assert not torch.allclose(maps[0].directions[:5], maps[1].directions[:5])


@pytest.mark.parametrize("name", FEATURE_MAPS)
def test_no_prediction_depends_on_the_other_rows(name):
    model = DeepRFMRegressor(3, 20, name).fit(X, NUMBERS)
    alone = np.concatenate([model.predict(row[None]) for row in NEW])
    np.testing.assert_allclose(alone, model.predict(NEW), rtol=1e-8, atol=1e-10)
    np.testing.assert_allclose(model.predict(10 * NEW), model.predict(NEW), rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("model", [DeepRFMClassifier(3, 20, "laplace"), DeepRFMRegressor(2, 20)])
def test_a_pickled_model_predicts_the_same(model):
    model = clone(model).fit(X, LABELS if isinstance(model, DeepRFMClassifier) else NUMBERS)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(model)).predict(NEW), model.predict(NEW))
    with pytest.raises(InputError, match=r"model: DeepRFM\w+ is none of .*; pickle it"):
        model.save("anywhere")


def test_the_collapse_table_is_that_of_the_rows():
    model = DeepRFMClassifier(2, 20).fit(X, LABELS)
    table = model.collapse_
    assert table["layer"].tolist() == [0, 0, 0, 1, 1, 1]
    assert table["at"].tolist() == ["X", "M^(1/2) X", "Phi(M^(1/2) X)"] * 2
    classes = torch.from_numpy(np.searchsorted(model.classes_, LABELS))
    rows, first = unit_rows(torch.from_numpy(X)), model.layers_[0]
    root = torch.linalg.eigh(torch.from_numpy(first.M))
    rooted = rows @ (root.eigenvectors * root.eigenvalues.clamp(min=0).sqrt()) @ root.eigenvectors.T
    for row, values in enumerate([rows, rooted, first.mapped(rows), first.mapped(rows)]):
        expected = neural_collapse(values, classes)
        assert table["nc1"][row] == pytest.approx(expected.nc1, rel=1e-6)
        assert table["nc2"][row] == pytest.approx(expected.nc2, rel=1e-6)
    assert table.loc[5, ["nc1", "nc2"]].isna().all()
    assert table["note"][5] == "the last machine's rows are mapped no further"
    numbers = DeepRFMRegressor(2, 20).fit(X, NUMBERS).collapse_
    assert numbers[["nc1", "nc2"]].isna().all(axis=None)
    assert set(numbers["note"][:5]) == {"real targets have no classes"}


def test_machines_start_where_they_are_told():
    seeds = [np.diag([1.0, 2.0, 3.0, 4.0, 5.0]), torch.eye(20) * 2]
    model = DeepRFMRegressor(2, 20, n_iters=0, M_init=seeds).fit(X, NUMBERS)
    np.testing.assert_array_equal(model.layers_[0].M, seeds[0])
    np.testing.assert_array_equal(model.layers_[1].M, seeds[1])
    identity = DeepRFMRegressor(2, 20, M_init=[None, None]).fit(X, NUMBERS).predict(NEW)
    np.testing.assert_array_equal(identity, DeepRFMRegressor(2, 20).fit(X, NUMBERS).predict(NEW))


def test_frames_with_categories():
    frame = pd.DataFrame({"number": X[:, 0], "kind": np.where(X[:, 1] > 0, "p", "q")})
    model = DeepRFMRegressor(2, 20).fit(frame, NUMBERS)
    assert model.predict(frame).shape == (60,)
    assert model.layers_[0].M.shape == (3, 3)
    assert model.feature_importances_.shape == (2,)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"depth": 0}, "depth: got 0, expected a whole number of at least 1"),
        ({"depth": 2.5}, "depth: got 2.5"),
        ({"width": 0}, "width: got 0, expected a whole number of at least 1"),
        ({"depth": 3, "width": [4, 0]}, "width: got 0"),
        ({"depth": 3, "width": [4]}, r"width: got \[4\], expected a number, or one for each of the 2 maps"),
        ({"width": "wide"}, "width: got 'wide', expected a number, or one for each of the 1 maps"),
        ({"feature_map": "fourier"}, "feature_map: 'fourier' is unknown"),
        ({"depth": 2, "M_init": np.eye(5)}, "M_init: got ndarray, expected a list with one for each of the 2 machines"),
        ({"depth": 2, "M_init": [None]}, "M_init: got 1 of them, expected a list with one for each of the 2 machines"),
        ({"depth": 1, "M_init": [np.eye(4)]}, r"M_init: shape \(4, 4\), expected \(5, 5\)"),
        ({"kernel": "cosine"}, "kernel: 'cosine' is unknown"),
    ],
)
def test_refusals(options, message):
    with pytest.raises(InputError, match=message):
        DeepRFMRegressor(**{"depth": 2} | options).fit(X, NUMBERS)


@pytest.mark.parametrize("model", [DeepRFMClassifier(2, 20), DeepRFMRegressor(2, 20)])
def test_there_are_no_stages_and_asking_for_them_changes_nothing(model):
    y = LABELS if isinstance(model, DeepRFMClassifier) else NUMBERS
    model = clone(model).fit(X, y)
    before = model.predict(NEW)
    with pytest.raises(InputError, match=r"^staged_fit: a DeepRFM\w+ has no stages"):
        model.staged_fit(NEW, y[: len(NEW)])
    np.testing.assert_array_equal(model.predict(NEW), before)


@pytest.mark.parametrize("transport", ["polar", "random"])
@pytest.mark.parametrize("y", [LABELS, NUMBERS], ids=["classes", "numbers"])
def test_what_comes_from_a_network_is_a_deep_machine(transport, y):
    net = torch.nn.Sequential(torch.nn.Linear(5, 6), torch.nn.ReLU(), torch.nn.Linear(6, 3 if y is LABELS else 1))
    model = DeepRFM.from_network(net.double(), X, y, transport=transport)
    assert isinstance(model, DeepRFM)
    assert model.predict(NEW).shape == (15,)
    assert len(model.layers_) == 2


def test_which_of_the_two_must_be_said():
    with pytest.raises(InputError, match="DeepRFM: is of two kinds, DeepRFMClassifier for classes"):
        DeepRFM(3)


def test_scikit_learn_calibrates_its_probabilities():
    rows, new = gaussian(300, 4).numpy(), gaussian(300, 4, seed=9).numpy()
    y, y_new = (np.abs(each).argmax(1) for each in (rows, new))
    deep = DeepRFMClassifier(depth=2, width=64)
    calibrated = CalibratedClassifierCV(deep, method="sigmoid", cv=3, ensemble=False)
    plain, better = (log_loss(y_new, model.fit(rows, y).predict_proba(new)) for model in (deep, calibrated))
    assert better < 0.9 * plain
