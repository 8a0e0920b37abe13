"""What the tests of skops files share: estimators, their files taken apart and put together, and nodes."""

import io
import json
import warnings
import zipfile

import numpy as np
import pandas as pd
import pytest
import skops.io
from sklearn.compose import ColumnTransformer, make_column_selector
from sklearn.feature_selection import SelectKBest
from sklearn.impute import SimpleImputer
from sklearn.model_selection import GridSearchCV
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler

import nfa

RNG = np.random.default_rng(0)
X = RNG.normal(size=(40, 5))
Y = np.array(["oak", "elm", "ash"])[RNG.integers(0, 3, 40)]
TABLE = pd.DataFrame(X, columns=list("vwxyz")).assign(tree=Y)


def fitted(estimator, X=X, y=Y):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a few steps do not converge
        return estimator.fit(X, y)


def perceptron(**settings):
    return MLPClassifier(**({"hidden_layer_sizes": (6, 4), "max_iter": 5, "random_state": 0} | settings))


def columns():
    numbers = make_pipeline(SimpleImputer(), StandardScaler())
    text = OneHotEncoder(handle_unknown="ignore")
    return ColumnTransformer(
        [("numbers", numbers, make_column_selector(dtype_include=np.number)), ("text", text, ["tree"])]
    )


CASES = {
    "adam": lambda: fitted(perceptron()),
    # Numbers, since with text scikit-learn 1.6 cannot stop early.
    "sgd": lambda: fitted(perceptron(solver="sgd", early_stopping=True), y=np.unique(Y, return_inverse=True)[1]),
    "lbfgs": lambda: fitted(perceptron(solver="lbfgs")),
    "float32": lambda: fitted(perceptron(), X.astype(np.float32)),
    "random state": lambda: fitted(perceptron(random_state=np.random.RandomState(1))),
    "regression": lambda: fitted(MLPRegressor(hidden_layer_sizes=(4,), max_iter=5), X, X[:, :2]),
    "pipeline": lambda: fitted(make_pipeline(FunctionTransformer(np.cbrt), StandardScaler(), perceptron())),
    "best features": lambda: fitted(make_pipeline(SelectKBest(k=3), perceptron())),
    "search": lambda: fitted(GridSearchCV(perceptron(), {"alpha": [0.1, 1.0]}, cv=2)),
    "table": lambda: fitted(make_pipeline(columns(), perceptron()), TABLE),
}


def members(estimator):
    """The schema and the other members of a skops file."""
    with zipfile.ZipFile(io.BytesIO(skops.io.dumps(estimator))) as archive:
        content = {name: archive.read(name) for name in archive.namelist()}
    return json.loads(content.pop("schema.json")), content


def write(path, schema, content, compression=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, data in content.items():
            archive.writestr(name, data)
        archive.writestr("schema.json", schema if isinstance(schema, (str, bytes)) else json.dumps(schema))
    return path


def refusal(path):
    with pytest.raises(nfa.InputError) as caught:
        nfa.load(path)
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith("model: ")
    return str(caught.value)


def text(value):
    return {"__class__": "str", "__module__": "builtins", "__loader__": "JsonNode", "content": json.dumps(value)}


def named(loader, module, name, **rest):
    return {"__class__": name, "__module__": module, "__loader__": loader} | rest


def several(*nodes, kind="tuple"):
    return named(f"{kind.title()}Node", "builtins", kind, content=list(nodes))
