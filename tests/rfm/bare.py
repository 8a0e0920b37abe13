"""Machines that the formulas stand for as they are written, and those that choose nothing."""

from functools import partial

from nfa.rfm import RFMClassifier, RFMRegressor

PLAIN = {"ridge": 1e-3, "scale": None, "agop_power": 1.0}
PlainRegressor = partial(RFMRegressor, **PLAIN)
PlainClassifier = partial(RFMClassifier, **PLAIN, temperature=None)
BareRegressor = partial(RFMRegressor, **PLAIN, fit_intercept=False, scale_targets=False)
