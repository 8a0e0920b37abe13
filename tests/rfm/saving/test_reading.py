"""Files that are damaged or lie are refused in one line; nothing else happens."""

import copy
import json

import numpy as np
import pandas as pd
import pytest
import torch
from damage import damaged
from helpers import gaussian
from safetensors.torch import load_file, save_file

from nfa import InputError
from nfa.formats.nfa_file import read_safetensors
from nfa.rfm import RFMClassifier, RFMRegressor, RFMRegressorCV, load
from nfa.rfm.saving.files import KEY

X = gaussian(12, 3).numpy()
TABLE = pd.DataFrame(X, columns=["u", "v", "w"]).assign(kind=np.where(X[:, 2] > 0, "p", "q"))


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    weights = np.linspace(1, 2, 12)
    RFMRegressor(n_iters=1).fit(X, X[:, 0], weights).save(folder / "regressor")
    RFMClassifier(n_iters=1).fit(TABLE, np.where(X[:, 0] > 0, "a", "b")).save(folder / "classifier")
    options = {"kernels": ["l1"], "bandwidths": [1.0], "ridges": [0.1], "max_iters": 1}
    RFMRegressorCV(**options).fit(X, X[:, 0]).save(folder / "search")
    return folder


def parts(file):
    tensors, metadata = read_safetensors(file, "path")
    return tensors, json.loads(metadata[KEY])


def refusal(call, kind=InputError):
    """The message with which a call is refused, None where it is not; any other exception is raised."""
    try:
        call()
    except kind as error:
        return str(error)
    return None


def refused(folder, tensors, header):
    """The message with which a file of these parts is refused."""
    path = folder / "lies"
    text = header if isinstance(header, str) else json.dumps(header)
    save_file({name: each.contiguous().clone() for name, each in tensors.items()}, path, metadata={KEY: text})
    with pytest.raises(InputError) as error:
        load(path)
    assert "\n" not in str(error.value)
    assert str(error.value).startswith("path: ")
    return str(error.value)


@pytest.mark.parametrize("name", ["regressor", "classifier", "search"])
def test_damaged_copies(name, files, tmp_path):
    """Each is refused in one line, or is a machine that answers."""
    rows = TABLE if name == "classifier" else X
    whole = (files / name).read_bytes()
    path, refusals = tmp_path / "damaged", 0
    for content in damaged(whole, 150):
        path.write_bytes(content)
        message = refusal(lambda path=path: load(path))
        if message is None:
            # A bit of a column's name: scikit-learn's message of several lines names it.
            message = refusal(lambda path=path: load(path).predict(rows), ValueError)
            assert message is None or "eature names" in message
            continue
        assert "\n" not in message
        refusals += 1
    assert refusals >= 37


WRONG = [None, -1, 1.5, "text", [[1]], {"a": 1}, {"float": "nan"}, 10**400]


def places(header, at=()):
    """Every place of a header that holds something."""
    for key, value in header.items() if isinstance(header, dict) else enumerate(header):
        yield (*at, key)
        if isinstance(value, (dict, list)):
            yield from places(value, (*at, key))


@pytest.mark.parametrize("name", ["regressor", "classifier", "search"])
def test_headers_of_wrong_types(name, files, tmp_path):
    """Something else at every place, or nothing: refused in one line, or as good as what was there."""
    tensors, header = parts(files / name)
    path, refusals, number = tmp_path / "lies", 0, 0
    for at in list(places(header)):
        for wrong in [*WRONG, KEY]:
            number += 1
            lie = copy.deepcopy(header)
            place = lie
            for key in at[:-1]:
                place = place[key]
            if wrong is KEY:
                del place[at[-1]]
            else:
                place[at[-1]] = wrong
            save_file(tensors, path, metadata={KEY: json.dumps(lie)})
            message = refusal(lambda: load(path))
            assert message is None or "\n" not in message, (at, wrong)
            refusals += message is not None
    assert refusals > number / 2


def test_headers_that_are_none(files, tmp_path):
    tensors, header = parts(files / "regressor")
    for text in ("", "{", "[]", "3", "[" * 100_000, json.dumps(header)[:-9]):
        assert "lies" in refused(tmp_path, tensors, text)
    save_file(tensors, tmp_path / "other", metadata={"nfa": "{}"})
    with pytest.raises(
        InputError, match=r"^path: .*other holds no recursive feature machine; machine.save\(path\) writes one$"
    ):
        load(tmp_path / "other")
    (tmp_path / "text").write_text("not a model")
    with pytest.raises(InputError, match=r"^path: cannot read .* as safetensors: it is truncated or of another kind$"):
        load(tmp_path / "text")
    with pytest.raises(InputError, match=r"^path: no such file"):
        load(tmp_path / "missing")


def test_headers_that_lie(files, tmp_path):
    tensors, header = parts(files / "regressor")

    def lie(*at, to):
        changed = copy.deepcopy(header)
        place = changed
        for key in at[:-1]:
            place = place[key]
        place[at[-1]] = to
        return refused(tmp_path, tensors, changed)

    assert lie("format", to=4).endswith("format 4, expected one from 1 to 3")
    assert lie("format", to=0).endswith("format 0, expected one from 1 to 3")
    assert "class: 'os.system' is unknown" in lie("class", to="os.system")
    assert "parameters: 'scale_targets' is unknown" in lie("class", to="RFMClassifier")
    assert "kernel: 'linear' is unknown" in lie("fitted", "kernel", to="linear")
    assert "bandwidth: got 0.0, expected a number above 0" in lie("fitted", "bandwidth", to=0)
    assert "n_features: got 4, but M has 3" in lie("fitted", "n_features", to=4)
    assert "target_shape" in lie("fitted", "target_shape", to=[2])
    assert "features: expected 3 different names" in lie("fitted", "features", to=["a", "a", "b"])
    assert "parameters: 'jobs' is unknown" in lie("parameters", "jobs", to=1)
    assert "ridge: got -1" in lie("parameters", "ridge", to=-1)
    assert "solver: got 3, expected str" in lie("fitted", "solver", to=3)


def test_tensors_that_lie(files, tmp_path):
    tensors, header = parts(files / "regressor")
    names = {"M", "center", "rows", "coefficients", "offset", "target_scale", "weights", "deviations"}
    assert names <= set(tensors) <= names | {"scales"}

    def lie(name, change):
        return refused(tmp_path, {**tensors, name: change(tensors[name])}, header)

    for name in tensors:
        assert f"{name} holds NaN or infinity" in lie(name, lambda t: torch.full_like(t, torch.nan))
        assert f"{name} is torch.int64, expected" in lie(name, lambda t: t.long())
        assert lie(name, lambda t: t[:0])
    assert "M: not symmetric" in lie("M", lambda t: t + torch.triu(torch.ones(3, 3), 1))
    assert "M: not positive semidefinite" in lie("M", lambda t: -t)
    assert "weights: expected 12 numbers above 0" in lie("weights", lambda t: -t)
    assert "offset and target_scale: expected 1 numbers each" in lie("target_scale", lambda t: -t)
    assert "holds the tensors" in refused(tmp_path, {**tensors, "more": torch.ones(1)}, header)
    assert "holds the tensors" in refused(tmp_path, {k: t for k, t in tensors.items() if k != "M"}, header)


def test_encoders_that_lie(files, tmp_path):
    tensors, header = parts(files / "classifier")
    [column] = header["fitted"]["encoder"]
    assert column == {"column": 3, "dtype": "object", "values": ["p", "q"]}
    for lies in (
        [],
        [column, column],
        [{**column, "column": 9}],
        [{**column, "column": -1}],
        [{**column, "values": ["p"]}],
        [{**column, "values": [["p"], "q"]}],
        [{**column, "dtype": "O8"}],
        [{**column, "dtype": "int8"}],
    ):
        assert refused(tmp_path, tensors, {**header, "fitted": {**header["fitted"], "encoder": lies}})


def test_the_tensors_are_plain(files):
    """Any reader of safetensors reads them."""
    assert load_file(files / "regressor")["rows"].shape == (12, 3)
