"""Which estimators are kept in files."""

from typing import Any


def estimators() -> dict[str, Any]:
    """Return the estimators by name."""
    # They inherit from `Saved`.
    from nfa.rfm.estimators.classifier import RFMClassifier
    from nfa.rfm.estimators.classifier_cv import RFMClassifierCV
    from nfa.rfm.estimators.regressor import RFMRegressor
    from nfa.rfm.estimators.regressor_cv import RFMRegressorCV

    return {each.__name__: each for each in (RFMClassifier, RFMClassifierCV, RFMRegressor, RFMRegressorCV)}
