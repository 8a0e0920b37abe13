"""Every check of scikit-learn's, for every estimator."""

import os

import pytest
from sklearn.utils.estimator_checks import check_array_api_input, estimator_checks_generator

from nfa.rfm import RFMClassifier, RFMClassifierCV, RFMRegressor, RFMRegressorCV

FEW = {"kernels": ("laplace", "l1"), "bandwidths": (1.0, 2.0), "ridges": (1e-2, 1e-1), "max_iters": 2, "shortlist": 1}
"""The defaults would only take longer: the checks fit hundreds of times."""
ESTIMATORS = [
    RFMRegressor(),
    RFMClassifier(),
    RFMRegressor("l1", diag=True, ridge=0.1),
    RFMRegressorCV(**FEW, cv=3),
    RFMClassifierCV(**FEW, cv=3),
]
CASES = [case for estimator in ESTIMATORS for case in estimator_checks_generator(estimator)]


@pytest.mark.parametrize(("estimator", "check"), CASES, ids=lambda each: getattr(each, "func", type(each)).__name__)
def test_scikit_learns_checks(estimator, check):
    if check.func is check_array_api_input and "SCIPY_ARRAY_API" not in os.environ:
        pytest.skip("scikit-learn runs it only where SCIPY_ARRAY_API is set")
    check(estimator)
