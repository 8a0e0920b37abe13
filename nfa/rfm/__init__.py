"""Recursive feature machines: kernel machines that learn their features."""

from nfa.rfm.deep import DeepRFM, DeepRFMClassifier, DeepRFMRegressor
from nfa.rfm.estimators.classifier import RFMClassifier
from nfa.rfm.estimators.classifier_cv import RFMClassifierCV
from nfa.rfm.estimators.regressor import RFMRegressor
from nfa.rfm.estimators.regressor_cv import RFMRegressorCV
from nfa.rfm.layerwise import LayerwiseRFM
from nfa.rfm.saving import pipeline as _pipeline  # noqa: F401  enters it among what is kept
from nfa.rfm.saving.files import load, save

__all__ = [
    "DeepRFM",
    "DeepRFMClassifier",
    "DeepRFMRegressor",
    "LayerwiseRFM",
    "RFMClassifier",
    "RFMClassifierCV",
    "RFMRegressor",
    "RFMRegressorCV",
    "load",
    "save",
]
