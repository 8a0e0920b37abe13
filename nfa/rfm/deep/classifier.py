"""Deep recursive feature machines for classes."""

from nfa.rfm.deep.base import DeepRFM
from nfa.rfm.estimators.classifier import RFMClassifier


class DeepRFMClassifier(DeepRFM, RFMClassifier):
    """A deep recursive feature machine for classes: regression on one-hot targets, the largest output wins.

    Parameters and attributes are those of `DeepRFMRegressor`; besides, `classes_` holds the labels, sorted, of any
    type, and `collapse_` says how far the classes have collapsed, layer by layer.

    Source: arXiv:2402.13728, Deep RFM.

    >>> import numpy as np
    >>> X = np.random.default_rng(0).normal(size=(200, 5))
    >>> model = DeepRFMClassifier(depth=2, width=64).fit(X, np.where(X[:, 0] > 0, "yes", "no"))
    >>> model.predict([[3, 0, 0, 0, 0], [-3, 0, 0, 0, 0]]).tolist()
    ['yes', 'no']
    """
