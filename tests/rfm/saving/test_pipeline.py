"""Pipelines that end in a machine, as files; and fitted estimators as skops keeps them."""

import json
import pickle

import numpy as np
import pandas as pd
import pytest
import sklearn
import skops.io as sio
from damage import damaged
from helpers import gaussian
from safetensors.torch import save_file
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.decomposition import PCA, KernelPCA, TruncatedSVD
from sklearn.exceptions import InconsistentVersionWarning
from sklearn.feature_selection import VarianceThreshold
from sklearn.impute import SimpleImputer
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline, make_union
from sklearn.preprocessing import (
    FunctionTransformer,
    MaxAbsScaler,
    MinMaxScaler,
    Normalizer,
    OneHotEncoder,
    OrdinalEncoder,
    PolynomialFeatures,
    PowerTransformer,
    QuantileTransformer,
    RobustScaler,
    StandardScaler,
)

from nfa import InputError
from nfa.formats.nfa_file import read_safetensors
from nfa.rfm import RFMClassifier, RFMClassifierCV, RFMRegressor, RFMRegressorCV, load, save
from nfa.rfm.saving.files import KEY

X = gaussian(40, 4).numpy()
NEW = gaussian(9, 4, seed=5).numpy()
Y = X[:, 0] ** 2 + X[:, 1]
LABELS = np.where(X[:, 0] > 0, "a", "b")
TABLE = pd.DataFrame(X, columns=["u", "v", "w", "x"]).assign(
    kind=np.where(X[:, 2] > 0, "p", "q"), size=np.where(X[:, 3] > 0, "big", "small")
)
TABLE.loc[::7, "u"] = np.nan
FEW = {"kernels": ["laplace"], "bandwidths": [1.0], "ridges": [0.1], "max_iters": 1, "cv": 2}


def columns():
    return make_column_transformer(
        (make_pipeline(SimpleImputer(strategy="median", add_indicator=True), StandardScaler()), ["u", "v"]),
        (OneHotEncoder(handle_unknown="ignore", sparse_output=False), ["kind"]),
        (OrdinalEncoder(), ["size"]),
        remainder="passthrough",
        sparse_threshold=0,
    )


def outputs(model):
    return model.predict_proba(NEW) if hasattr(model, "predict_proba") else model.predict(NEW)


def refusal(call):
    """The message with which a call is refused; empty where it is not."""
    try:
        call()
    except InputError as error:
        return str(error)
    return ""


STEPS = [
    [StandardScaler()],
    [MinMaxScaler(), PCA(2)],
    [RobustScaler(), PolynomialFeatures(2), VarianceThreshold()],
    [MaxAbsScaler(), Normalizer(), TruncatedSVD(2)],
    [QuantileTransformer(n_quantiles=10)],
    [PowerTransformer(), FunctionTransformer()],
    [make_union(StandardScaler(), PCA(1)), "passthrough"],
    [RFMRegressor(n_components=2, n_iters=1)],  # a machine's features
]


@pytest.mark.parametrize("steps", STEPS, ids=str)
def test_a_pipeline_comes_back_whole(steps, tmp_path):
    pipeline = make_pipeline(*steps, RFMRegressor(n_iters=1)).fit(X, Y)
    save(pipeline, tmp_path / "m")
    again = load(tmp_path / "m")
    np.testing.assert_allclose(again.predict(NEW), pipeline.predict(NEW), rtol=1e-7)
    assert repr(again) == repr(pipeline)
    np.testing.assert_allclose(again.fit(X, Y).predict(NEW), pipeline.predict(NEW), rtol=1e-7)


def test_columns_by_name_and_classes(tmp_path):
    pipeline = make_pipeline(columns(), RFMClassifier(n_iters=1)).fit(TABLE, LABELS)
    save(pipeline, tmp_path / "m")
    again = load(tmp_path / "m")
    np.testing.assert_allclose(again.predict_proba(TABLE), pipeline.predict_proba(TABLE), rtol=1e-6)
    assert again.predict(TABLE).tolist() == pipeline.predict(TABLE).tolist()
    assert again[:-1].get_feature_names_out().tolist() == pipeline[:-1].get_feature_names_out().tolist()
    with pytest.raises(ValueError, match="columns are missing"):
        again.predict(TABLE.drop(columns="u"))


def test_a_pipeline_that_hands_on_frames(tmp_path):
    pipeline = make_pipeline(columns(), RFMRegressor(n_iters=1)).set_output(transform="pandas").fit(TABLE, Y)
    save(pipeline, tmp_path / "m")
    np.testing.assert_allclose(load(tmp_path / "m").predict(TABLE), pipeline.predict(TABLE), rtol=1e-7)


@pytest.mark.parametrize(("search", "y"), [(RFMRegressorCV(**FEW), Y), (RFMClassifierCV(**FEW), LABELS)])
def test_a_search_at_the_end(search, y, tmp_path):
    pipeline = make_pipeline(StandardScaler(), search).fit(X, y)
    save(pipeline, tmp_path / "m")
    again = load(tmp_path / "m", device="cpu")
    np.testing.assert_allclose(outputs(again), outputs(pipeline), rtol=1e-6)
    assert again[-1].best_params_ == pipeline[-1].best_params_
    assert again[-1].device == "cpu"


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        ([KernelPCA(2), RFMRegressor()], "KernelPCA is no step that a file keeps .*; pickle the pipeline"),
        (
            [FunctionTransformer(np.abs), RFMRegressor()],
            "FunctionTransformer.func is a ufunc, which a file does not keep",
        ),
        ([StandardScaler(), Ridge()], "the pipeline ends in a Ridge, expected RFMClassifier, RFMClassifierCV, RFMReg"),
    ],
)
def test_other_steps_are_refused(steps, message, tmp_path):
    with pytest.raises(InputError, match=rf"^model: {message}"):
        save(make_pipeline(*steps).fit(X, Y), tmp_path / "m")
    assert not (tmp_path / "m").exists()


def test_a_file_of_another_version_of_scikit_learn_warns(tmp_path, monkeypatch):
    pipeline = make_pipeline(StandardScaler(), RFMRegressor(n_iters=0)).fit(X, Y)
    with monkeypatch.context() as patch:
        patch.setattr(sklearn, "__version__", "1.0.0")
        save(pipeline, tmp_path / "m")
    with pytest.warns(InconsistentVersionWarning, match="from version 1.0.0 when using version"):
        np.testing.assert_allclose(load(tmp_path / "m").predict(NEW), pipeline.predict(NEW))


def test_damaged_copies_and_lies_are_refused_in_one_line(tmp_path):
    path = tmp_path / "m"
    save(make_pipeline(StandardScaler(), RFMRegressor(n_iters=0)).fit(X[:12], Y[:12]), path)
    whole = path.read_bytes()
    tensors, metadata = read_safetensors(path, "path")
    header = json.loads(metadata[KEY])
    for content in damaged(whole, 60):
        path.write_bytes(content)
        assert "\n" not in refusal(lambda: load(path).predict(NEW))
    for key, value in (("pipeline", {"step": "os.system", "state": {}}), ("pipeline", {"list": []}), ("sha256", 3)):
        lie = header | {key: value}
        save_file({name: each.clone() for name, each in tensors.items()}, path, metadata={KEY: json.dumps(lie)})
        with pytest.raises(InputError, match=r"^path: ") as refused:
            load(path)
        assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "value",
    [
        {"step": "Popen", "state": {}},
        {"step": "StandardScaler", "state": {"transform": 3}},
        {"step": "StandardScaler", "state": {"__class__": 3}},
        {"machine": 0, "class": "Pipeline"},
        {"type": "object_"},
        {"eval": ["1"]},
    ],
    ids=str,
)
def test_nothing_but_known_classes_comes_of_a_header(value):
    from nfa.rfm.saving.header import HeaderError
    from nfa.rfm.saving.pipeline import machines_kept
    from nfa.rfm.saving.steps import Builder

    def machine(part, own):
        return machines_kept()[part["class"]]

    with pytest.raises((InputError, HeaderError, LookupError)):
        Builder({}, machine).value(value)


@pytest.mark.parametrize(
    ("model", "y"),
    [
        (RFMRegressor("power", exponent=0.7, dtype="float32"), Y),
        (RFMClassifier("l1", diag=True), LABELS),
        (RFMRegressorCV(**FEW), Y),
        (RFMClassifierCV(**FEW), LABELS),
    ],
)
def test_skops_keeps_what_is_fitted(model, y):
    pipeline = make_pipeline(StandardScaler(), model).fit(X, y)
    for kept in (pipeline, pipeline[-1]):
        dumped = sio.dumps(kept)
        again = sio.loads(dumped, trusted=sio.get_untrusted_types(data=dumped))
        np.testing.assert_array_equal(again.predict(NEW), kept.predict(NEW))
        machine = again[-1] if kept is pipeline else again
        np.testing.assert_array_equal(machine.agop(), pipeline[-1].agop())
        np.testing.assert_array_equal(machine.M_, pipeline[-1].M_)
        pd.testing.assert_frame_equal(machine.history_, pipeline[-1].history_)
        assert len(list(machine.staged_predict(NEW))) == len(machine.history_)


def test_skops_keeps_a_machine_of_a_frame():
    model = RFMClassifier(n_iters=1).fit(TABLE.fillna(0.0), LABELS)
    dumped = sio.dumps(model)
    again = sio.loads(dumped, trusted=sio.get_untrusted_types(data=dumped))
    np.testing.assert_array_equal(again.predict_proba(TABLE.fillna(0.0)), model.predict_proba(TABLE.fillna(0.0)))


def test_a_state_holds_no_types_of_torch():
    """Whatever reads NumPy's alone can keep it."""
    state = RFMRegressor(dtype="float32", device="cpu").fit(X, Y).__getstate__()
    assert b"torch" not in pickle.dumps(state)


def test_columns_that_were_selected_by_their_kind(tmp_path):
    selected = make_column_transformer(
        (StandardScaler(), make_column_selector(dtype_include=np.number)),
        (OneHotEncoder(sparse_output=False), lambda frame: ["kind", "size"]),
    )
    rows = TABLE.drop(columns="u")
    model = make_pipeline(selected, RFMRegressor(n_iters=1)).fit(rows, Y)
    save(model, tmp_path / "m")
    again = load(tmp_path / "m")
    np.testing.assert_allclose(again.predict(rows), model.predict(rows))
    assert [columns for *_, columns in again[0].transformers] == [["v", "w", "x"], ["kind", "size"]]
    np.testing.assert_allclose(again.fit(rows, Y).predict(rows), model.predict(rows))
