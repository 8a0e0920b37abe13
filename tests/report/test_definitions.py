"""Every column has its meaning and its place."""

from nfa.features.columns import COLUMNS
from nfa.features.fact import FACT_COLUMNS
from nfa.report.definitions import DEFINITIONS, GROUPS, MAIN


def test_every_column_is_defined_and_in_one_group_in_the_table_s_order():
    assert list(DEFINITIONS) == [*COLUMNS, *FACT_COLUMNS]
    assert [column for group in GROUPS.values() for column in group] == [*COLUMNS, *FACT_COLUMNS]
    assert set(MAIN) <= set(COLUMNS)


def test_groups_hold_what_they_are_called_after():
    assert GROUPS["how sure"] == ("ci_low", "ci_high", "probe_error")
    assert GROUPS["untrained network"] == ("untrained_cosine", "untrained_cosine_sqrt")
    assert GROUPS["top eigenvectors"] == ("subspace_overlap", "subspace_overlap_null")
