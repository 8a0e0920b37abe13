"""Files of every version of the format, written by the code of their time, are read and predict the same."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from safetensors.torch import save_file

from nfa import InputError
from nfa.formats.nfa_file import read_safetensors
from nfa.rfm import load
from nfa.rfm.saving.files import KEY

FILES = Path(__file__).parents[2] / "files"
EXPECTED = json.loads((FILES / "expected-1.json").read_text())
NEW = np.array(EXPECTED["rows"])
TABLE = pd.DataFrame(NEW, columns=["u", "v", "w"]).assign(kind=EXPECTED["kind"])
OTHER_VERSION = pytest.mark.filterwarnings("ignore::sklearn.exceptions.InconsistentVersionWarning")
"""Steps of a pipeline say so where they were kept by another scikit-learn."""


def predictions(model, name):
    if name == "classifier":
        with pytest.warns(UserWarning, match="categories that fit has not seen"):
            found = model.predict_proba(TABLE)
        assert model.classes_[found.argmax(1)].tolist() == EXPECTED["classes"]
        return found
    return model.predict(NEW.astype(np.float32) if name == "regressor" else NEW)


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("name", ["regressor", "classifier", "search"])
def test_kept_files_predict_what_their_machines_did(name, version, tmp_path):
    expected = np.array(EXPECTED[name])
    model = load(FILES / f"machine-{version}-{name}.safetensors")
    np.testing.assert_allclose(predictions(model, name), expected, rtol=0, atol=1e-6 * np.abs(expected).max())
    model.save(tmp_path / "again")
    again = predictions(load(tmp_path / "again"), name)
    np.testing.assert_allclose(again, expected, rtol=0, atol=1e-6 * np.abs(expected).max())


@OTHER_VERSION
def test_a_kept_pipeline_predicts_what_it_did():
    """Its machine, of two targets in one unit, has no intercept, also when it is fitted again."""
    expected = np.array(json.loads((FILES / "expected-2.json").read_text())["pipeline"])
    model = load(FILES / "machine-2-pipeline.safetensors")
    np.testing.assert_allclose(model.predict(NEW), expected, rtol=0, atol=1e-6 * np.abs(expected).max())
    assert not model[-1].fit_intercept
    assert not model[-1].scale_targets


@OTHER_VERSION
@pytest.mark.parametrize("name", ["regressor", "classifier", "search", "pipeline"])
def test_kept_files_of_version_3(name):
    """With an intercept, scaled columns and targets, and a temperature."""
    expected = np.array(json.loads((FILES / "expected-3.json").read_text())[name])
    model = load(FILES / f"machine-3-{name}.safetensors")
    found = model.predict_proba(NEW) if hasattr(model, "predict_proba") else model.predict(NEW)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6 * np.abs(expected).max())


def test_a_search_of_an_older_version_keeps_what_it_did():
    model = load(FILES / "machine-2-search.safetensors")
    for each in (model, model.best_estimator_):
        assert not each.fit_intercept
        assert not each.scale_targets


@pytest.mark.parametrize("transposed", [["secret"], ["center"], "M", None])
def test_what_version_1_says_of_its_matrices_is_held_against_them(transposed, tmp_path):
    tensors, metadata = read_safetensors(FILES / "machine-1-regressor.safetensors", "path")
    header = json.loads(metadata[KEY]) | {"transposed": transposed}
    save_file(tensors, tmp_path / "lies", metadata={KEY: json.dumps(header)})
    with pytest.raises(InputError, match=r"^path: .*transposed: ") as refused:
        load(tmp_path / "lies")
    assert "\n" not in str(refused.value)
