"""By how much scores on the same rows must differ, so that it is hardly chance: three standard errors."""

import math

ERRORS = 3.0
"""A score counts as above another when it is by this many standard errors."""


def binomial_error(share: float, n: float) -> float:
    """Return the binomial standard error of a share of n rows; a share of 0 or 1 counts as a row away from it.

    >>> round(binomial_error(0.1, 900), 4)
    0.01
    """
    p = min(max(share, 1 / n), 1 - 1 / n) if n > 1 else 0.5
    return math.sqrt(p * (1 - p) / n)


def r2_error(value: float, n: float) -> float:
    """Return the standard error of an R^2 of n rows, for Gaussian targets and errors.

    2 sqrt(v) (1 - v) / sqrt(n) for v = R^2 from 0 to 1, of outputs that are as large as they should be; for v < 0,
    2 sqrt(-v (1 - v)) / sqrt(n), of outputs that do not depend on the targets.

    Source: the delta method on R^2 = 1 - sum (y - f)^2 / sum (y - mean y)^2.

    >>> round(r2_error(0.25, 900), 4), r2_error(1.0, 900)
    (0.025, 0.0)
    """
    return 2 * (math.sqrt(value) * (1 - value) if value >= 0 else math.sqrt(-value * (1 - value))) / math.sqrt(n)


def margin_over_constant(metric: str, baseline: float, n: float) -> float:
    """Return by how much a score on n rows must be above a constant answer's, or below it.

    An accuracy by three binomial standard errors of the constant answer's. An R^2 by 9 / n: outputs that correlate by
    chance with targets have the most of it where they are small, then the square of that correlation, whose standard
    error is 1 / sqrt(n).

    Args:
        metric: "accuracy" or "r2".
        baseline: The constant answer's accuracy.
        n: Rows, or the effective number of labels.

    >>> round(margin_over_constant("accuracy", 0.1, 900), 4), round(margin_over_constant("r2", 0.0, 900), 4)
    (0.03, 0.01)
    """
    return ERRORS * binomial_error(baseline, n) if metric == "accuracy" else ERRORS**2 / n


def margin(metric: str, one: float, other: float, n: float) -> float:
    """Return by how much two scores on the same n rows must differ, as if their errors were independent.

    Of two networks errors mostly fall on the same rows, so that this asks for more than it had to. Three standard
    errors of the difference; of R^2 near 0 no less than above a constant answer.

    Args: as `margin_over_constant`; `one` and `other` are the scores.

    >>> round(margin("accuracy", 0.6, 0.6, 1000), 3), round(margin("r2", 0.33, 0.33, 1000), 3)
    (0.066, 0.103)
    """
    if metric == "accuracy":
        return ERRORS * math.hypot(binomial_error(one, n), binomial_error(other, n))
    return max(ERRORS * math.hypot(r2_error(one, n), r2_error(other, n)), margin_over_constant(metric, 0.0, n))
