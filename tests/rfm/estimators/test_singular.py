"""A singular system: one warning for a fit, and the solver's words say after which updates of M it was one."""

import warnings

import numpy as np
import pytest
from helpers import gaussian
from rfm.bare import PlainRegressor

from nfa.rfm import RFMClassifierCV
from nfa.rfm.solving.dense import SingularKernelWarning

X = np.concatenate([gaussian(30, 3).numpy()] * 2)
Y = X[:, 0] + np.repeat([0.0, 1.0], 30)
LEAST_NORM = "the kernel matrix of 60 rows plus ridge is singular (rank 30); took the solution of least norm"


def caught(estimator, y):
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        estimator.fit(X, y)
    return [str(each.message) for each in found if each.category is SingularKernelWarning]


def test_one_warning_says_it_and_the_solver_names_the_updates():
    model = PlainRegressor(ridge=0, n_iters=2)
    assert caught(model, Y) == [f"{LEAST_NORM}. A larger ridge avoids this."]
    solver = "Cholesky of the 60 x 60 kernel matrix (3 such matrices fit a budget of 4 GiB)"
    assert model.solver_ == "; ".join([solver, *(f"after {k} updates of M {LEAST_NORM}" for k in range(3))])
    assert LEAST_NORM in repr(model)


def test_a_small_ridge_in_blocks_is_said_too():
    rows = np.repeat(gaussian(300, 4).numpy(), 2, axis=0)
    with pytest.warns(SingularKernelWarning) as found:
        model = PlainRegressor(ridge=0, n_iters=1, memory_budget=0.005).fit(rows, rows[:, 0] + np.arange(600) % 2)
    assert len(found) == 1
    assert "after 1 updates of M the kernel matrix of 600 rows plus ridge is singular to conjugate" in model.solver_


def test_what_is_not_singular_is_not_said():
    model = PlainRegressor(ridge=0.1)
    assert caught(model, Y) == []
    assert model.solver_.endswith("GiB)")


def test_a_search_warns_of_the_machine_it_chose_alone():
    search = RFMClassifierCV(kernels=["laplace"], bandwidths=[1.0], ridges=[1e-30], max_iters=1, cv=2)
    assert len(caught(search, np.tile(np.arange(30) % 2, 2))) == 1
    assert "solution of least norm" in search.solver_
