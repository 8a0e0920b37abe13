"""Picture sets by name, and networks as a cell says."""

import numpy as np
import pytest

from analyses.analysis import Options
from analyses.setting import pictures, pictures_of, trained, untrained
from nfa import InputError

CELL = {
    **{"width": 16, "depth": 2, "activation": "tanh", "init": "factor:0.5", "seed": 3},
    **{"loss": "onehot_mse", "optimizer": "adam", "lr": 1e-2, "epochs": 8, "batch_size": 64, "weight_decay": 0.0},
}


def test_a_quick_run_uses_only_what_is_bundled():
    assert pictures_of(Options(quick=True)) == ["digits"]
    assert pictures_of(Options())[0] == "digits"
    assert pictures_of(Options(("svhn", "digits"))) == ["svhn", "digits"]
    with pytest.raises(InputError, match=r"dataset: 'digit' is unknown; did you mean 'digits'\?"):
        pictures_of(Options(("digit",)))


def test_pictures_are_drawn_by_seed_scaled_and_divided():
    data = pictures("digits", Options(), 300, 100, 0)
    train, test = data.part("train"), data.part("test")
    assert (train.n, test.n) == (300, 100)
    assert (data.X.min(), train.X.max()) == (0, 1)
    assert data.feature_shape == (8, 8)
    assert set(np.unique(train.y)) == set(range(10))
    # No row twice.
    assert len(np.unique(data.X, axis=0)) == len(data.X)
    np.testing.assert_array_equal(pictures("digits", Options(), 300, 100, 0).X, data.X)
    other = pictures("digits", Options(), 300, 100, 1)
    assert not np.array_equal(other.X, data.X)
    assert pictures("digits", Options(), 5000, 5000, 0).n == 1797


def test_a_cell_s_network_learns():
    data = pictures("digits", Options(), 500, 200, 0)
    net = untrained(data, CELL)
    assert net.architecture == {
        **{"d": 64, "width": [16, 16], "n_outputs": 10, "activation": "tanh", "bias": False, "init": "factor:0.5"}
    }
    training = trained(data, CELL)
    assert training.history["train_score"].iloc[-1] > 0.8
    assert {key: training.settings[key] for key in CELL if key in training.settings} == {
        key: CELL[key] for key in ("loss", "optimizer", "lr", "batch_size", "weight_decay", "seed", "epochs")
    }
