"""The figure of modular addition: what is drawn of a small table, whole and in parts."""

import numpy as np
import pandas as pd
import pytest

from figures.modular_addition import draw
from nfa.plots import save


def table(p=3):
    paths = [
        {"kernel": kernel, "seed": seed, "iteration": iteration, "quantity": quantity, "value": value}
        for kernel in ("gaussian", "quadratic")
        for seed in (0, 1)
        for iteration in range(3)
        for quantity, value in (
            ("test_accuracy", 0.4 * iteration + 0.1 * seed),
            ("circulant", np.nan if iteration == 0 else 0.3 * iteration + 0.1 * seed),
        )
    ]
    M = [
        {"kernel": "gaussian", "iteration": 2, "quantity": "M", "row": i, "column": j, "value": 9 * (i == j) + j}
        for i in range(p)
        for j in range(2 * p)
    ]
    return pd.DataFrame(paths + M).assign(p=p, share=0.5, features="recursion")


def test_lines_are_means_and_the_picture_is_m():
    left, middle, right, _ = draw(table()).axes
    np.testing.assert_allclose(left.lines[0].get_ydata(), [0.05, 0.45, 0.85])
    np.testing.assert_allclose(middle.lines[0].get_xydata(), [[1, 0.35], [2, 0.65]])
    assert middle.lines[2].get_ydata()[0] == pytest.approx(1 / 4)
    picture = right.images[0].get_array()
    assert picture.shape == (3, 6)
    np.testing.assert_allclose(picture[0], [5, 1, 2, 3, 4, 5])  # 9, the diagonal's entry, at the end of the scale
    assert "kernel" in middle.get_legend().texts[0].get_text()


@pytest.mark.parametrize("left_out", ["M", "circulant", "test_accuracy"])
def test_incomplete_tables_draw(left_out, tmp_path):
    whole = table()
    assert save(draw(whole[whole["quantity"] != left_out]), tmp_path / "f.png").stat().st_size > 0
