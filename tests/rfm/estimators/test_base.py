"""What the regressor and the classifier share: parameters, rows, weights, what is known after fitting."""

import pickle
from contextlib import contextmanager

import numpy as np
import pytest
import torch
from helpers import gaussian
from rfm.bare import BareRegressor, PlainClassifier, PlainRegressor
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.kernel_ridge import KernelRidge
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.multioutput import MultiOutputRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import nfa
from nfa import InputError
from nfa.features.factored import FactoredMatrix
from nfa.rfm import DeepRFMRegressor, LayerwiseRFM, RFMClassifier, RFMClassifierCV, RFMRegressor
from nfa.rfm.estimators import fitting
from nfa.rfm.solving.dense import SingularKernelWarning


def data(n=40, d=3, seed=1):
    X = gaussian(n, d, seed=seed).numpy()
    return X, X[:, 0] ** 2 + X[:, 1]


X, Y = data()
NEW = gaussian(15, 3, seed=7).numpy()


LABELS = np.where(X[:, 0] > 0, "a", "b")


@pytest.mark.parametrize("value", [0, -1.0, float("nan"), float("inf"), "median", None])
@pytest.mark.parametrize("name", ["bandwidth", "agop_power", "memory_budget"])
def test_numbers_above_zero(name, value):
    with pytest.raises(InputError, match=rf"^{name}: got .*, expected a number above 0$"):
        PlainRegressor(**{name: value}).fit(X, Y)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"ridge": -1e-9}, r"^ridge: got -1e-09, expected a number of at least 0, or 'auto'$"),
        ({"ridge": "small"}, r"^ridge: got 'small', expected a number"),
        ({"n_iters": -1}, r"^n_iters: got -1, expected a whole number of at least 0$"),
        ({"n_iters": 1.5}, r"^n_iters: got 1.5, expected a whole number"),
        ({"n_iters": "3"}, r"^n_iters: got '3', expected a whole number"),
        ({"agop_samples": 0}, r"^agop_samples: got 0, expected a whole number of at least 1, or None$"),
        ({"kernel": "laplacian"}, r"^kernel: 'laplacian' is unknown; did you mean 'laplace'\?"),
        ({"kernel": "power", "exponent": 3.0}, r"^exponent: got 3.0, expected a number above 0 and at most 2$"),
        ({"kernel": "rbf"}, r"^kernel: 'rbf' is called 'gaussian', exp\(-r\^2 / \(2 L\^2\)\); scikit-learn's gamma is"),
        ({"diag": "yes"}, r"^diag: got 'yes', expected True or False$"),
        ({"center_grads": 1}, r"^center_grads: got 1, expected True or False$"),
        ({"progress": None}, r"^progress: got None, expected True or False$"),
        ({"exponent": 0.5}, r"^exponent: got 0.5, but the kernel 'laplace' has none"),
        ({"M_scale": "norm"}, r"^M_scale: 'norm' is unknown.* \(known: max, trace, None\)$"),
        ({"scale": True}, r"^scale: True is unknown.* \(known: auto, std, None\)$"),
        ({"n_components": 0}, "^n_components: got 0, expected a whole number of at least 1, or None$"),
        ({"bandwidth_scale": "mean"}, r"^bandwidth_scale: 'mean' is unknown"),
        ({"dtype": "float16"}, r"^dtype: 'float16' is unknown.* \(known: float32, float64, None\)"),
        ({"dtype": torch.bfloat16}, r"^dtype: 'bfloat16' is unknown"),
        ({"dtype": 5}, r"^dtype: '5' is unknown"),
        ({"device": "gpu"}, r"^device: 'gpu' is not a device torch knows$"),
        ({"device": 1.5}, r"^device: 1.5 is not a device torch knows$"),
        ({"device": "meta"}, r"^device: 'meta' is not available here$"),
        ({"M_init": np.eye(4)}, r"^M_init: shape \(4, 4\), expected \(3, 3\)"),
        ({"M_init": -np.eye(3)}, r"^M_init: not positive semidefinite; its least eigenvalue is -1$"),
        ({"M_init": FactoredMatrix(gaussian(2, 4), None)}, r"^M_init: a matrix of 4 features, expected 3"),
        ({"memory_budget": 1e-8}, r"^memory_budget: 1e-08 GiB is less than the smallest block"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(options, message):
    with pytest.raises(InputError, match=message) as refused:
        PlainRegressor(**options).fit(X, Y)
    assert "\n" not in str(refused.value)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is such a device here")
def test_a_device_that_is_not_there():
    with pytest.raises(InputError, match=r"^device: 'cuda' is not available here$"):
        PlainRegressor(device="cuda").fit(X, Y)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_nan_and_infinity_are_refused(bad):
    wrong, targets = X.copy(), Y.copy()
    wrong[3, 1] = targets[2] = bad
    for estimator, good in ((PlainRegressor(), Y), (PlainClassifier(), LABELS)):
        with pytest.raises(ValueError, match=r"Input X contains"):
            estimator.fit(wrong, good)
    with pytest.raises(ValueError, match=r"Input y contains"):
        PlainRegressor().fit(X, targets)
    model = PlainRegressor().fit(X, Y)
    with pytest.raises(ValueError, match=r"Input X contains"):
        model.predict(wrong)
    with pytest.raises(InputError, match=r"^X: inf at row 0, column 0"):
        PlainRegressor(dtype="float32").fit(1e300 * np.abs(X), Y)  # which float32 cannot hold


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (np.zeros(40), "Sample weights must contain at least one non-zero number|every weight is 0"),
        (-np.ones(40), "Negative values in data passed to `sample_weight`"),
        (np.full(40, np.nan), "sample_weight contains NaN"),
        (np.ones(39), r"sample_weight.shape == \(39,\)"),
    ],
)
def test_weights_that_are_none(weights, message):
    with pytest.raises(ValueError, match=message):
        PlainRegressor().fit(X, Y, weights)


def test_weights_that_float32_cannot_hold():
    with pytest.raises(InputError, match=r"^sample_weight: every weight is 0 in the dtype of the computation$"):
        PlainRegressor(dtype="float32").fit(X, Y, np.full(40, 1e-60))


@pytest.mark.parametrize("kernel", ["laplace", "gaussian", "l1"])
@pytest.mark.parametrize("options", [{}, {"center_grads": True}, {"diag": True}, {"bandwidth_scale": None}], ids=str)
def test_a_weight_of_two_is_two_rows_and_a_weight_of_zero_is_none(kernel, options):
    counts = np.arange(40) % 3
    wild = X.copy()
    wild[counts == 0] *= 1e6  # what does not count leaves no trace, not even in rounding
    weighted = PlainRegressor(kernel, n_iters=2, **options).fit(wild, Y, counts)
    repeated = PlainRegressor(kernel, n_iters=2, **options).fit(np.repeat(X, counts, 0), np.repeat(Y, counts))
    # Copies are at a distance of 0 and do not count for the median.
    np.testing.assert_allclose(weighted.predict(NEW), repeated.predict(NEW), atol=1e-9)
    np.testing.assert_allclose(weighted.M_, repeated.M_, atol=1e-9)
    np.testing.assert_allclose(weighted.agop(), repeated.agop(), rtol=1e-7, atol=1e-10)
    np.testing.assert_allclose(weighted.history_, repeated.history_, rtol=1e-7)


def test_equal_weights_are_a_smaller_ridge():
    one = PlainRegressor(ridge=0.1).fit(X, Y, np.full(40, 10.0))
    np.testing.assert_allclose(one.predict(NEW), PlainRegressor(ridge=0.01).fit(X, Y).predict(NEW), rtol=1e-9)


@pytest.mark.parametrize(("dtype", "scale"), [(np.float32, 3e38), (np.float32, 1e-30), (np.float64, 1e308)])
def test_weights_of_any_size(dtype, scale):
    rows, ones = X.astype(dtype), np.linspace(0.5, 1, 40, dtype=dtype)
    options = {"n_iters": 2, "dtype": np.dtype(dtype).name}
    plain = PlainRegressor(ridge=1e-2, **options).fit(rows, Y, ones)
    heavy = PlainRegressor(ridge=1e-2 * scale, **options).fit(rows, Y, ones * dtype(scale))
    np.testing.assert_allclose(heavy.predict(rows), plain.predict(rows), atol=1e-3 if dtype == np.float32 else 1e-9)
    np.testing.assert_allclose(heavy.M_, plain.M_, atol=1e-3 if dtype == np.float32 else 1e-9)


@pytest.mark.parametrize("scale", [1e30, 1e-30])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_targets_of_any_size(scale, dtype):
    """The same relative error as at 1."""
    options = {"n_iters": 2, "ridge": 0.01}
    plain = PlainRegressor(**options).fit(X.astype(dtype), Y)
    scaled = PlainRegressor(**options).fit(X.astype(dtype), Y * scale)
    expected = plain.predict(NEW.astype(dtype))
    tolerance = 1e-4 if dtype == np.float32 else 1e-12
    np.testing.assert_allclose(scaled.predict(NEW.astype(dtype)) / dtype(scale), expected, rtol=0, atol=tolerance)
    np.testing.assert_allclose(scaled.M_, plain.M_, atol=10 * tolerance)


@pytest.mark.parametrize("kernel", ["laplace", "gaussian", "l1", "quadratic"])
def test_one_row_two_rows_equal_rows_and_constant_columns(kernel):
    for rows, targets in [(X[:1], Y[:1]), (X[:2], Y[:2]), (np.ones((5, 3)), Y[:5]), (X * [1, 0, 0] + 3, Y)]:
        model = PlainRegressor(kernel, ridge=0.1).fit(rows, targets)
        assert np.isfinite(model.predict(NEW)).all()
        assert np.isfinite(model.M_).all()
    # Without an origin of its own a kernel sees nothing of a column that is constant.
    if kernel != "quadratic":
        assert PlainRegressor(kernel).fit(X * [1, 0, 0] + 3, Y).feature_importances_[0] == pytest.approx(1)


def test_more_columns_than_rows():
    wide = gaussian(8, 30).numpy()
    model = PlainRegressor(ridge=1e-6).fit(wide, wide[:, 0])
    np.testing.assert_allclose(model.predict(wide), wide[:, 0], atol=1e-3)


def test_a_ridge_of_zero_on_copies_says_what_it_did():
    twice = np.concatenate([X, X])
    with pytest.warns(SingularKernelWarning, match=r"singular \(rank 40\); took the solution of least norm"):
        model = PlainRegressor("gaussian", ridge=0, n_iters=0, bandwidth=0.2).fit(twice, np.concatenate([Y, Y + 2]))
    np.testing.assert_allclose(model.predict(X), Y + 1, atol=1e-6)


@pytest.mark.parametrize(
    ("half", "expected"),
    [(torch.float16, np.float32), (torch.bfloat16, np.float32), (torch.float32, np.float32), (torch.int64, np.float64)],
)
def test_tensors(half, expected):
    rows = (4 * torch.from_numpy(X)).to(half)
    model = PlainRegressor().fit(rows, torch.from_numpy(Y).to(half))
    found = model.predict(rows)
    assert isinstance(found, np.ndarray)
    assert found.dtype == expected
    plain, targets = rows.double().numpy().astype(expected), torch.from_numpy(Y).to(half).double().numpy()
    np.testing.assert_array_equal(found, PlainRegressor().fit(plain, targets).predict(plain))
    asking = torch.from_numpy(X).requires_grad_()
    np.testing.assert_array_equal(
        PlainRegressor().fit(asking, Y).predict(asking), PlainRegressor().fit(X, Y).predict(X)
    )


def test_the_computing_dtype_is_the_one_asked_for():
    for given in (np.float32, np.float64, np.int32, np.float16):
        for asked, expected in (("float32", np.float32), (torch.float64, np.float64), (np.float32, np.float32)):
            model = PlainRegressor(dtype=asked).fit((3 * X).astype(given), Y)
            assert model.predict((3 * NEW).astype(given)).dtype == expected
    assert PlainRegressor().fit(X.astype(np.float16), Y).predict(NEW).dtype == np.float32
    assert PlainRegressor().fit(X.tolist(), Y.tolist()).predict(NEW.tolist()).dtype == np.float64


@pytest.mark.parametrize("targets", [(), (1,), (3,)])
def test_without_updates_it_is_kernel_ridge(targets):
    y = np.random.default_rng(0).normal(size=(40, *targets))
    theirs = KernelRidge(kernel="rbf", gamma=0.5, alpha=0.01).fit(X, y).predict(NEW)
    options = {"bandwidth": 1.0, "bandwidth_scale": None, "ridge": 0.01, "n_iters": 0}
    found = BareRegressor("gaussian", **options).fit(X, y).predict(NEW)
    assert found.shape == theirs.shape
    np.testing.assert_allclose(found, theirs, atol=1e-10)


def test_bare_machines_standardise_nothing():
    """Columns of other sizes are other problems."""
    model = BareRegressor(n_iters=0).fit(X, Y)
    stretched = BareRegressor(n_iters=0).fit(X * [1, 10, 1], Y)
    assert np.abs(stretched.predict(NEW * [1, 10, 1]) - model.predict(NEW)).max() > 0.1


@pytest.mark.parametrize("kernel", ["laplace", "gaussian", "l1", "quadratic"])
def test_predictions_do_not_depend_on_the_scale_of_M(kernel):
    found = [
        PlainRegressor(kernel, M_scale=scale, ridge=0.01).fit(X, Y).predict(NEW) for scale in ("max", "trace", None)
    ]
    for other in found[1:]:
        np.testing.assert_allclose(other, found[0], rtol=1e-6, atol=1e-8)


def test_M_init_takes_every_form():
    F = gaussian(2, 3)
    S = torch.eye(2, dtype=torch.float64)
    dense = (F.T @ F).numpy()
    expected = PlainRegressor(n_iters=0, M_init=dense).fit(X, Y)
    np.testing.assert_allclose(expected.M_, dense)
    for same in (torch.from_numpy(dense), dense.tolist(), FactoredMatrix(F, S)):
        np.testing.assert_allclose(PlainRegressor(n_iters=0, M_init=same).fit(X, Y).M_, dense, atol=1e-12)
    diagonal = PlainRegressor(n_iters=0, M_init=[1.0, 2.0, 0.0]).fit(X, Y)
    np.testing.assert_array_equal(diagonal.M_, np.diag([1.0, 2.0, 0.0]))
    assert PlainRegressor(n_iters=1, M_init=[1.0, 2.0, 0.0], diag=True).fit(X, Y).M_.shape == (3,)
    audit = nfa.audit(nfa.MLP(3, [6], n_outputs=2).double(), torch.from_numpy(X))
    seeded = PlainRegressor(n_iters=0, M_init=audit[0]).fit(X, Y)
    np.testing.assert_allclose(seeded.M_, audit[0].agop.dense(), rtol=1e-6)
    with pytest.raises(InputError, match=r"^M_init: a matrix of 6 features, expected 3"):
        PlainRegressor(M_init=audit[1]).fit(X, Y)


def test_what_is_known_after_fitting():
    for model in (RFMRegressor(), RFMClassifier()):
        with pytest.raises(NotFittedError):
            _ = model.feature_importances_
        with pytest.raises(NotFittedError):
            model.agop()
        assert repr(model) == f"{type(model).__name__}()"
    model = RFMRegressor(n_iters=2).fit(X, Y)
    assert model.M_.shape == (3, 3)
    assert model.M_.dtype == np.float64
    share = np.diag(model.M_) * X.var(0)
    np.testing.assert_allclose(model.feature_importances_, share / share.sum())
    assert model.feature_importances_.sum() == pytest.approx(1)
    assert list(model.history_["iteration"]) == [0, 1, 2]
    assert repr(model) == f"RFMRegressor(n_iters=2): {model.solver_}"
    assert "RFMRegressor(n_iters=2)" in repr(make_pipeline(StandardScaler(), model))


def test_a_parameter_of_many_lines_is_shown_by_its_name():
    audit = nfa.audit(nfa.MLP(3, 6, n_outputs=2), gaussian(20, 3, dtype=torch.float32))
    for kind in (RFMRegressor, RFMClassifierCV):
        for value, words in [(audit[0], "<LayerAudit of layers.0>"), (np.eye(3), "<ndarray (3, 3)>")]:
            assert repr(kind(M_init=value)) == f"{kind.__name__}(M_init={words})"
    assert repr(DeepRFMRegressor(depth=1, M_init=[np.eye(3)])) == "DeepRFMRegressor(M_init=<list>, depth=1)"
    assert repr(LayerwiseRFM(nfa.MLP(3, 6, n_outputs=2), audit=audit)) == "LayerwiseRFM(audit=<Audit>, net=<MLP>)"


def test_agop_is_the_next_M_and_by_differences():
    model = PlainRegressor("gaussian", n_iters=1, ridge=0.1).fit(X, Y)
    after = PlainRegressor("gaussian", n_iters=2, ridge=0.1).fit(X, Y)
    A = model.agop()
    np.testing.assert_allclose(A / np.abs(A).max(), after.M_, atol=1e-12)
    step = 1e-5
    J = np.stack([(model.predict(NEW + step * e) - model.predict(NEW - step * e)) / (2 * step) for e in np.eye(3)], 1)
    np.testing.assert_allclose(model.agop(NEW), J.T @ J / len(NEW), atol=1e-7)
    np.testing.assert_allclose(model.agop(NEW, centered=True), np.cov(J.T, bias=True), atol=1e-7)
    # A diagonal M stays one, whatever the parameter says later.
    diagonal = PlainRegressor(diag=True).fit(X, Y).set_params(diag=False)
    assert diagonal.agop().shape == (3,)


def test_power_and_samples_reach_M():
    once = PlainRegressor(n_iters=1).fit(X, Y).M_
    squared = once @ once
    np.testing.assert_allclose(
        PlainRegressor(n_iters=1, agop_power=2.0).fit(X, Y).M_, squared / squared.max(), atol=1e-9
    )
    few = [PlainRegressor(n_iters=1, agop_samples=10, random_state=seed).fit(X, Y).M_ for seed in (0, 0, 1)]
    np.testing.assert_array_equal(few[0], few[1])
    assert np.abs(few[0] - few[2]).max() > 1e-3


def test_random_states():
    def fitted(state):
        return PlainRegressor(agop_samples=9, random_state=state).fit(X, Y).predict(NEW)

    np.testing.assert_array_equal(fitted(3), fitted(3))
    np.testing.assert_array_equal(fitted(np.random.RandomState(3)), fitted(3))
    with pytest.raises(ValueError, match="cannot be used to seed"):
        fitted("three")


def test_progress_is_shown_where_it_is_wanted(monkeypatch):
    told = []

    @contextmanager
    def counted(label, total):
        told.append((label, total))
        yield told.append

    monkeypatch.setattr(fitting, "progress", counted)
    PlainRegressor(n_iters=2).fit(X, Y)
    assert told == [("fitting", 3), 1, 1, 1]
    PlainRegressor(n_iters=2, progress=False).fit(X, Y)
    assert len(told) == 4


def test_it_works_with_scikit_learn():
    model = PlainRegressor(ridge=0.1, M_init=np.eye(3))
    copy = clone(model)
    assert copy.get_params().keys() == model.get_params().keys()
    assert copy.M_init is not model.M_init
    piped = make_pipeline(StandardScaler(), PlainRegressor(n_iters=1))
    assert cross_val_score(piped, X, Y, cv=4).shape == (4,)
    search = GridSearchCV(PlainRegressor(), {"ridge": [1e-3, 1e2], "n_iters": [0, 2]}, cv=3).fit(X, Y)
    assert search.best_params_["ridge"] == 1e-3
    both = np.stack([Y, -Y], 1)
    apart = MultiOutputRegressor(PlainRegressor(n_iters=0)).fit(X, both).predict(NEW)
    np.testing.assert_allclose(PlainRegressor(n_iters=0).fit(X, both).predict(NEW), apart, atol=1e-12)
    fitted = PlainRegressor(dtype=torch.float32).fit(X, Y)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(fitted)).predict(NEW), fitted.predict(NEW))


def test_what_is_handed_over_stays_as_it_is():
    rows, targets, weights = X.copy(), Y.copy(), np.linspace(0, 1, 40)
    for given in (rows, targets, weights):
        given.flags.writeable = False
    M = np.eye(3)
    PlainRegressor(M_init=M).fit(rows, targets, weights).predict(rows)
    np.testing.assert_array_equal(M, np.eye(3))
    np.testing.assert_array_equal(rows, X)
