"""Deep recursive feature machines: machines in a row, with random features or a network's layers between them."""

from nfa.rfm.deep.base import DeepRFM
from nfa.rfm.deep.collapse import neural_collapse
from nfa.rfm.deep.estimators import DeepRFMClassifier, DeepRFMRegressor
from nfa.rfm.deep.polar import PolarRFM

__all__ = ["DeepRFM", "DeepRFMClassifier", "DeepRFMRegressor", "PolarRFM", "neural_collapse"]
