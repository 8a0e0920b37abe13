"""scikit-learn's perceptrons and skorch's nets, as they are in memory."""

import os
import pickle
import warnings

import joblib
import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, RandomizedSearchCV
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler

import nfa

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 5))
Y = RNG.integers(0, 3, 60)
TARGETS = {
    "binary": Y > 0,
    "classes": np.array(["red", "green", "blue"])[Y],
    "labels": np.stack([Y > 0, Y > 1, Y == 0], axis=1).astype(int),
    "real": X[:, 0] * 2,
    "reals": X[:, :2] ** 2,
}


def fitted(estimator, X=X, y=Y):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a few steps do not converge
        return estimator.fit(X, y)


def perceptron(kind="classes", **settings):
    settings = {"hidden_layer_sizes": (7, 4), "max_iter": 20, "random_state": 0} | settings
    return (MLPRegressor if kind.startswith("real") else MLPClassifier)(**settings)


def answers(model, X):
    """What the network says, with the ending that was taken off."""
    dtype = next(model.net.parameters()).dtype
    out = model.net(torch.as_tensor(np.asarray(X)).to(dtype)).detach()
    out = out.softmax(1) if model.ending == "softmax" else out.sigmoid() if model.ending == "sigmoid" else out
    return out.numpy()


def expected(estimator, X):
    """What scikit-learn says, in the shape of the network's outputs."""
    if isinstance(estimator, MLPRegressor):
        return estimator.predict(X).reshape(len(X), -1)
    said = estimator.predict_proba(X)
    return said[:, 1:] if estimator.n_outputs_ == 1 else said


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("activation", ["identity", "logistic", "tanh", "relu"])
@pytest.mark.parametrize("kind", TARGETS)
def test_outputs_are_scikit_learn_s(kind, activation, dtype):
    rows = X.astype(dtype)
    estimator = fitted(perceptron(kind, activation=activation), rows, TARGETS[kind])
    model = nfa.load(estimator)
    assert {p.dtype for p in model.net.parameters()} == {torch.float32 if dtype == np.float32 else torch.float64}
    tolerance = 1e-6 if dtype == np.float32 else 1e-12
    np.testing.assert_allclose(answers(model, rows), expected(estimator, rows), rtol=0, atol=tolerance)
    assert not model.net.training
    assert [layer["name"] for layer in nfa.audit(model.net, rows)] == ["layers.0", "layers.1", "layers.2"]


@pytest.mark.parametrize(
    "settings",
    [
        {"early_stopping": True},
        {"solver": "sgd", "learning_rate": "adaptive"},
        {"solver": "lbfgs", "hidden_layer_sizes": 3},
        {"hidden_layer_sizes": ()},
        {"warm_start": True},
    ],
    ids=str,
)
def test_however_it_was_trained(settings):
    # Numbers, since with text scikit-learn 1.6 cannot stop early.
    estimator = fitted(perceptron(**settings), y=np.unique(TARGETS["classes"], return_inverse=True)[1])
    model = nfa.load(estimator)
    np.testing.assert_allclose(answers(model, X), estimator.predict_proba(X), rtol=0, atol=1e-12)
    assert model.settings == {"optimizer": settings.get("solver", "adam"), "loss": "cross_entropy"}


def test_what_is_known_of_each_kind():
    models = {kind: nfa.load(fitted(perceptron(kind), y=y)) for kind, y in TARGETS.items()}
    assert {kind: model.ending for kind, model in models.items()} == {
        "binary": "sigmoid", "classes": "softmax", "labels": "sigmoid", "real": None, "reals": None
    }  # fmt: skip
    assert {kind: model.classes for kind, model in models.items() if model.classes} == {
        "binary": ("False", "True"), "classes": ("blue", "green", "red")
    }  # fmt: skip
    assert {kind: model.settings.get("loss") for kind, model in models.items()} == {
        "binary": None, "classes": "cross_entropy", "labels": None, "real": "mse", "reals": "mse"
    }  # fmt: skip
    assert models["classes"].notes == ("The network ends in Softmax; logits are its input.",)
    assert models["binary"].notes == ("The network ends in Sigmoid; logits are its input.",)
    assert models["real"].notes == ()
    assert models["real"].name == "MLPRegressor"
    assert all(model.features is None and model.transform is None for model in models.values())


def test_names_of_inputs_and_a_class_derived():
    class Mine(MLPClassifier):
        pass

    model = nfa.load(fitted(Mine((3,), max_iter=3), pd.DataFrame(X, columns=list("vwxyz"))))
    assert (model.name, model.features, model.transform) == ("Mine", tuple("vwxyz"), None)


@pytest.mark.skipif("loss" not in MLPRegressor().get_params(), reason="scikit-learn 1.6 knows squared errors alone")
def test_a_poisson_regression_says_what_its_outputs_are():
    estimator = fitted(perceptron("real", loss="poisson"), y=np.abs(X[:, 0]))
    model = nfa.load(estimator)
    np.testing.assert_allclose(np.exp(answers(model, X))[:, 0], estimator.predict(X), rtol=1e-12)
    assert (model.ending, "loss" in model.settings) == (None, False)
    assert model.notes == (
        "The network ends in exp; its outputs are the logarithms of what it predicts, not compared with targets.",
    )


def test_the_estimator_keeps_its_weights_to_itself():
    estimator = fitted(perceptron())
    before = estimator.predict_proba(X)
    with torch.no_grad():
        for parameter in nfa.load(estimator).net.parameters():
            parameter.zero_()
    np.testing.assert_array_equal(estimator.predict_proba(X), before)


def test_it_can_be_saved_as_a_file_of_ours(tmp_path):
    model = nfa.load(fitted(perceptron(), pd.DataFrame(X, columns=list("vwxyz")), TARGETS["classes"]))
    nfa.save_model(tmp_path / "net.safetensors", model)
    loaded = nfa.load(tmp_path / "net.safetensors")
    np.testing.assert_array_equal(loaded.net(torch.tensor(X)).detach(), model.net(torch.tensor(X)).detach())
    assert (loaded.classes, loaded.features) == (model.classes, model.features)


def test_the_audit_is_that_of_the_same_module():
    estimator = fitted(perceptron(activation="tanh"))
    module = torch.nn.Sequential(
        torch.nn.Linear(5, 7), torch.nn.Tanh(), torch.nn.Linear(7, 4), torch.nn.Tanh(), torch.nn.Linear(4, 3)
    ).double()
    with torch.no_grad():
        for layer, W, b in zip(module[::2], estimator.coefs_, estimator.intercepts_, strict=True):
            layer.weight.copy_(torch.tensor(W.T))
            layer.bias.copy_(torch.tensor(b))
    ours, theirs = nfa.audit(nfa.load(estimator).net, X), nfa.audit(module, X)
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a.agop.dense(), b.agop.dense(), rtol=1e-10)
        assert a["cosine"] == pytest.approx(b["cosine"], abs=1e-10)


def table():
    return pd.DataFrame(
        {"size": X[:, 0], "kind": np.array(["oak", "elm", "ash"])[Y], "weight": X[:, 1], "unused": X[:, 2]}
    )


def test_a_pipeline_prepares_the_rows():
    pipeline = fitted(make_pipeline(StandardScaler(), "passthrough", perceptron()))
    model = nfa.load(pipeline)
    assert model.name == "MLPClassifier"
    np.testing.assert_allclose(answers(model, model.transform(X)), pipeline.predict_proba(X), rtol=0, atol=1e-12)
    frame = pd.DataFrame(X, columns=list("vwxyz"))
    np.testing.assert_array_equal(model.transform(frame), model.transform(X))


def test_pipelines_within_pipelines_and_steps_that_are_none():
    inner = Pipeline([("scale", StandardScaler()), ("nothing", None), ("net", perceptron("real"))])
    pipeline = fitted(make_pipeline(FunctionTransformer(np.square), inner), y=TARGETS["real"])
    model = nfa.load(pipeline)
    np.testing.assert_allclose(answers(model, model.transform(X))[:, 0], pipeline.predict(X), rtol=0, atol=1e-12)
    bare = nfa.load(fitted(Pipeline([("nothing", "passthrough"), ("net", perceptron())])))
    assert bare.transform is None


@pytest.mark.parametrize("sparse", [True, False])
def test_columns_of_text(sparse):
    columns = ColumnTransformer(
        [("numbers", StandardScaler(), ["size", "weight"]), ("text", OneHotEncoder(sparse_output=sparse), ["kind"])],
        sparse_threshold=1.0,
    )
    pipeline = fitted(make_pipeline(columns, perceptron()), table())
    model = nfa.load(pipeline)
    assert model.features == ("size", "kind", "weight", "unused")
    rows = model.transform(table())
    assert (rows.shape, rows.dtype) == ((60, 5), np.float64)
    np.testing.assert_allclose(answers(model, rows), pipeline.predict_proba(table()), rtol=0, atol=1e-12)
    np.testing.assert_array_equal(rows, model.transform(table()[["unused", "weight", "kind", "size"]].assign(y=0)))
    np.testing.assert_array_equal(rows, model.transform(table().to_numpy()))
    assert np.isfinite(nfa.audit(model.net, rows)[0]["cosine"])


def test_texts_themselves():
    texts = ["an oak", "an elm", "the ash"] * 20
    pipeline = fitted(make_pipeline(TfidfVectorizer(), perceptron()), texts)
    model = nfa.load(pipeline)
    np.testing.assert_allclose(answers(model, model.transform(texts)), pipeline.predict_proba(texts), atol=1e-12)


def test_rows_that_a_pipeline_does_not_take():
    columns = ColumnTransformer([("numbers", "passthrough", ["size"]), ("text", OneHotEncoder(), ["kind"])])
    model = nfa.load(fitted(make_pipeline(columns, perceptron()), table()))
    for message, rows in {
        "without the columns that the pipeline takes: kind, unused": table()[["size", "weight"]],
        "shape .60, 2., but the pipeline takes 4 columns": X[:, :2],
        "the pipeline's ColumnTransformer refuses these rows: Found unknown categories": table().assign(kind="fir"),
    }.items():
        with pytest.raises(nfa.InputError, match=f"^data: {message}") as caught:
            model.transform(rows)
        assert "\n" not in str(caught.value)
    words = nfa.load(fitted(make_pipeline(FunctionTransformer(), perceptron())))
    with pytest.raises(nfa.InputError, match="data: the pipeline's steps give object, expected numbers"):
        words.transform(np.array([["oak"] * 5], dtype=object))


def test_the_best_of_a_search():
    pipeline = make_pipeline(StandardScaler(), perceptron())
    for search in (
        GridSearchCV(pipeline, {"mlpclassifier__alpha": [0.1, 1.0]}, cv=2),
        RandomizedSearchCV(pipeline, {"mlpclassifier__alpha": [0.1, 1.0]}, n_iter=1, cv=2, random_state=0),
    ):
        model = nfa.load(fitted(search))
        np.testing.assert_allclose(answers(model, model.transform(X)), search.predict_proba(X), rtol=0, atol=1e-12)


def test_transformed_targets_are_noted():
    regressor = fitted(TransformedTargetRegressor(perceptron("real"), transformer=StandardScaler()), y=TARGETS["real"])
    model = nfa.load(regressor)
    said = regressor.transformer_.inverse_transform(answers(model, X))[:, 0]
    np.testing.assert_allclose(said, regressor.predict(X), rtol=0, atol=1e-12)
    assert len(model.notes) == 1
    assert "transformed targets" in model.notes[0]
    assert nfa.audit(regressor, (X, TARGETS["real"])).score is None


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (perceptron(), "this MLPClassifier is not fitted; call its fit first"),
        (make_pipeline(StandardScaler(), perceptron("real")), "this MLPRegressor is not fitted; call its fit first"),
        (TransformedTargetRegressor(perceptron("real")), "this TransformedTargetRegressor is not fitted"),
        (GridSearchCV(perceptron(), {}), "this GridSearchCV keeps no network; fit it with refit=True"),
        (LogisticRegression(), "got LogisticRegression, expected a file, a torch.nn.Module, scikit-learn's fitted"),
        (make_pipeline(StandardScaler()), "got StandardScaler, expected"),
        (CalibratedClassifierCV(perceptron()), "got CalibratedClassifierCV, expected"),
        (Pipeline([]), "the Pipeline has no steps"),
        (3, "got int, expected"),
        (None, "got NoneType, expected"),
    ],
)
def test_what_is_no_network(source, message):
    with pytest.raises(nfa.InputError, match=f"^model: {message}") as caught:
        nfa.load(source)
    assert "\n" not in str(caught.value)


def test_weights_that_are_not_usable():
    estimator = fitted(perceptron())
    estimator.coefs_[1][2, 3] = np.nan
    with pytest.raises(nfa.InputError, match=r"model: layers\.1\.weight: nan at row 3, column 2"):
        nfa.load(estimator)
    estimator.coefs_[1] = estimator.coefs_[1][:, :2]
    with pytest.raises(nfa.InputError, match="coefs_ and intercepts_ of this MLPClassifier do not fit together"):
        nfa.load(estimator)
    estimator = fitted(perceptron())
    estimator.coefs_ = [W.astype(np.float16) for W in estimator.coefs_]
    estimator.intercepts_ = [b.astype(np.float16) for b in estimator.intercepts_]
    with pytest.raises(nfa.InputError, match="model: weights in float16, expected float32 or float64"):
        nfa.load(estimator)


def test_an_activation_that_is_not_known():
    estimator = fitted(perceptron()).set_params(activation="gelu")
    with pytest.raises(nfa.InputError, match="model: activation gelu, expected one of identity, logistic, tanh, relu"):
        nfa.load(estimator)


class Trap:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (self.path,)


@pytest.mark.parametrize("suffix", ["joblib", "pkl", "pickle", "PKL"])
def test_files_that_run_code_are_not_opened(tmp_path, suffix):
    path, sprung = tmp_path / f"net.{suffix}", tmp_path / "sprung"
    dump = joblib.dump if suffix == "joblib" else lambda trap, path: path.write_bytes(pickle.dumps(trap))
    dump(Trap(str(sprung)), path)
    with pytest.raises(nfa.InputError, match=r"files run code when they are opened.*skops\.io\.dump") as caught:
        nfa.load(path)
    assert "\n" not in str(caught.value)
    assert not sprung.exists()
    joblib.load(path)
    assert sprung.exists(), "the trap does not work"
