"""The authors' settings: one for each analysis of the paper's, printed with their cost, and nothing guessed."""

import pytest

from analyses.__main__ import main
from analyses.analysis import names
from analyses.paper import SETTINGS, UNKNOWN, Machine, Network, plan
from analyses.tabular_rfm import BANDWIDTH, RIDGES, UPDATES
from nfa import InputError


def test_settings_are_of_analyses():
    assert set(SETTINGS) < set(names())


def test_the_tabular_protocol_is_the_one_that_is_reproduced():
    assert SETTINGS["tabular"].machine == Machine(BANDWIDTH, RIDGES, UPDATES)


@pytest.mark.parametrize("name", SETTINGS)
def test_what_is_printed_is_the_table(name, capsys):
    assert main([name, "--paper", "--dry-run"]) == 0
    said = capsys.readouterr().out
    setting = SETTINGS[name]
    assert setting.data in said
    for model in (setting.network, setting.machine):
        for key, value in {} if model is None else vars(model).items():
            assert f"{key} {UNKNOWN if value is None else value}" in said


def test_costs():
    # 20 x 7 + 7 x 7 + 7 x 3 weights, three products of each with 100 rows in 5 epochs
    assert Network(width=7, depth=2, epochs=5).cost(20, 3, 100) == 3 * (140 + 49 + 21) * 100 * 5
    fit, agop = 60 * 16 + 60**2 * 4 + 60**3 / 6, 60**2 * 4 + 60 * 2 * 16
    assert Machine(ridge=1e-3, updates=0).cost(4, 2, 60) == fit
    assert Machine(ridge=(1.0, 0.1), updates=3).cost(4, 2, 60) == 2 * (4 * fit + 3 * agop)
    assert Machine(updates=1).cost(4, 2, None) is None
    assert Network(width=7, epochs=5).cost(4, 2, 10) is None


def test_a_cost_is_printed_only_where_all_sizes_are_known():
    cost = SETTINGS["low_rank"].machine.cost(20, 1, 4000)
    assert any(f"about {cost:.1e} multiply-adds" in line for line in plan("low_rank"))
    assert any("cost not known here" in line for line in plan("grokking"))


def test_an_analysis_without_settings():
    assert plan("seeding") == ["seeding: the authors' setting is not known here, or there is none."]
    with pytest.raises(InputError, match=r"'sedding' is unknown; did you mean 'seeding'\?"):
        plan("sedding")


@pytest.mark.parametrize("options", [["--paper"], ["--dry-run"]])
def test_paper_settings_are_only_printed(options, capsys):
    assert main(["low_rank", *options]) == 2
    assert "paper: got one of --paper and --dry-run, expected both" in " ".join(capsys.readouterr().err.split())
