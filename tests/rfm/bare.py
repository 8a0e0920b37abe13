"""Machines that the formulas stand for as they are written: nothing is chosen, taken off or scaled."""

from functools import partial

from nfa.rfm import RFMClassifier, RFMRegressor

BareRegressor = partial(RFMRegressor, ridge=1e-3, fit_intercept=False, scale_targets=False)
BareClassifier = partial(RFMClassifier, ridge=1e-3, fit_intercept=False)
