"""A mean over seeds with its range, in words."""

import pandas as pd


def spread(values: pd.Series, digits: int = 3) -> str:
    """Return the mean over seeds, and how far apart they are.

    Args:
        values: One for each seed, finite.
        digits: Significant ones; 0 for whole numbers.

    >>> spread(pd.Series([98.0, 99.0, 100.0]))
    '99 (98 to 100)'
    """
    low, mean, high = (f"{x:.{digits}g}" if digits else f"{x:.0f}" for x in (values.min(), values.mean(), values.max()))
    return mean if low == high else f"{mean} ({low} to {high})"
