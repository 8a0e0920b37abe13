"""The data set type: divisions, scaling, and what is refused."""

import numpy as np
import pytest

from nfa import Dataset, InputError
from nfa.data import Scaling


def toy(n=100, classes=4):
    rng = np.random.default_rng(0)
    return Dataset(rng.normal(size=(n, 3)), rng.integers(0, classes, n), class_names=tuple("abcd"[:classes]))


def test_a_division_covers_every_row_once_and_depends_on_the_seed_alone():
    data = toy().divide(test=0.2, val=0.1, seed=3)
    rows = np.concatenate([data.split[part] for part in ("train", "val", "test")])
    assert sorted(rows) == list(range(100))
    assert [len(data.split[part]) for part in ("train", "val", "test")] == [70, 10, 20]
    again, other = toy().divide(test=0.2, val=0.1, seed=3), toy().divide(test=0.2, val=0.1, seed=4)
    assert all(np.array_equal(data.split[part], again.split[part]) for part in data.split)
    assert not np.array_equal(data.split["test"], other.split["test"])


def test_a_division_keeps_the_classes_shares():
    y = np.repeat([0, 1], [80, 20])
    data = Dataset(np.zeros((100, 2)), y).divide(test=0.25)
    assert data.part("test").y.mean() == pytest.approx(0.2)


def test_a_set_with_its_own_test_rows_keeps_them():
    data = Dataset(np.zeros((10, 2)), np.arange(10) % 2, split={"train": np.arange(8), "test": np.arange(8, 10)})
    divided = data.divide(test=0.5, val=0.2)
    assert list(divided.split["test"]) == [8, 9]
    assert len(divided.split["val"]) == 2
    again = divided.divide(val=0.1)
    assert sorted(np.concatenate(list(again.split.values()))) == list(range(10))
    assert {part: len(rows) for part, rows in again.split.items()} == {"train": 7, "val": 1, "test": 2}


def test_integer_features_are_cast_and_parts_are_whole_sets():
    data = Dataset(np.arange(12).reshape(6, 2), np.arange(6.0)).divide(test=0.5)
    assert data.X.dtype == np.float32
    part = data.part("test")
    assert (part.n, part.split) == (3, {})
    assert data.part("all").n == 6
    assert data.sample(4, seed=1).n == 4
    assert data.sample(99).n == 6


def test_scaling_is_fitted_on_training_rows_and_leaves_constants_finite():
    X = np.array([[1.0, 5.0], [3.0, 5.0]])
    scaled = Scaling.fit("standard", X).apply(X)
    np.testing.assert_allclose(scaled, [[-1, 0], [1, 0]])
    np.testing.assert_allclose(Scaling.fit("max", X).apply(X), X / 5)
    assert Scaling.fit("none", X).apply(X) is X
    assert np.isfinite(Scaling.fit("max", 0 * X).apply(0 * X)).all()


@pytest.mark.parametrize(
    ("message", "call"),
    [
        ("empty", lambda: Dataset(np.zeros((0, 3)))),
        ("expected \\(rows, features\\)", lambda: Dataset(np.zeros(3))),
        ("X has 3 rows, y has 2", lambda: Dataset(np.zeros((3, 1)), np.zeros(2))),
        ("has no val rows \\(it has: train, test\\)", lambda: toy().divide().part("val")),
        ("did you mean 'train'", lambda: toy().part("trian")),
        ("together below 1", lambda: toy().divide(test=0.6, val=0.5)),
        ("too few", lambda: toy(2).divide(test=0.1)),
        ("'standart' is unknown; did you mean 'standard'", lambda: Scaling.fit("standart", np.zeros((1, 1)))),
        ("2 features, but the inputs' scaling is for 3", lambda: Scaling.fit("standard", np.eye(3)).apply(np.eye(2))),
    ],
)
def test_bad_input(message, call):
    with pytest.raises(InputError, match=message):
        call()
