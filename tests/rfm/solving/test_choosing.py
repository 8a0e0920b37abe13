"""Which solver, in words and numbers."""

import pytest

from nfa import InputError
from nfa.common.budget import GIB
from nfa.rfm import RFMRegressor
from nfa.rfm.solving.choosing import BLOCK_ROWS, SOLVER_MATRICES, plan


def test_the_whole_matrix_while_it_fits():
    for n, itemsize in [(1, 4), (1000, 8), (10_000, 4)]:
        needed = SOLVER_MATRICES * n * n * itemsize / GIB
        assert plan(n, itemsize, needed * 1.001).dense
        assert plan(n, itemsize, 1000).dense
        if n > BLOCK_ROWS:
            assert not plan(n, itemsize, needed * 0.999).dense


def test_in_words():
    whole = "Cholesky of the 1,000 x 1,000 kernel matrix (3 such matrices fit a budget of 4 GiB)"
    assert str(plan(1000, 8, 4)) == whole
    blocks = "preconditioned conjugate gradients on blocks of the 100,000 x 100,000 kernel matrix (a budget of 1.5 GiB)"
    assert str(plan(100_000, 4, 1.5)) == blocks
    model = RFMRegressor(n_iters=0, ridge=1e-3, scale=None).fit([[0.0], [1.0]], [0.0, 1.0])
    assert model.solver_ == "Cholesky of the 2 x 2 kernel matrix (3 such matrices fit a budget of 4 GiB)"
    assert repr(model) == f"RFMRegressor(n_iters=0, ridge=0.001, scale=None): {model.solver_}"


def test_the_smallest_budget_is_a_block_of_rows():
    n, itemsize = 50_000, 4
    least = SOLVER_MATRICES * BLOCK_ROWS * n * itemsize / GIB
    assert not plan(n, itemsize, least * 1.001).dense
    with pytest.raises(
        InputError,
        match=(
            r"^memory_budget: 0.1 GiB is less than the smallest block of a kernel matrix of 50,000 rows takes; "
            r"expected at least 0.15$"
        ),
    ):
        plan(n, itemsize, 0.1)
    with pytest.raises(InputError, match=r"memory_budget: .* of 100 rows takes; expected at least 0.00023"):
        plan(100, 8, 1e-4)


def test_what_the_message_asks_for_is_enough():
    """The number in the message, handed back, is accepted."""
    for n in (100, 3000, 50_000, 77_777):
        with pytest.raises(InputError, match="expected at least") as refused:
            plan(n, 4, 1e-9)
        plan(n, 4, float(str(refused.value).rsplit(" ", 1)[1]))


@pytest.mark.parametrize("budget", [0, -1.0, float("nan")])
def test_budgets_that_are_none(budget):
    with pytest.raises(InputError, match=r"memory_budget: got .*, expected GiB above 0"):
        plan(10, 4, budget)
