"""Progress on a terminal."""

import sys

import pytest
import torch
from helpers import gaussian

import nfa
from nfa.common.processes import Processes
from nfa.common.progress import bars, progress

progress_module = sys.modules["nfa.common.progress"]


@pytest.fixture
def terminal(monkeypatch, capsys):
    """Makes standard error a terminal on which bars appear at once; returns a function that returns what was drawn."""

    def begin():
        monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
        monkeypatch.setenv("TERM", "xterm")
        monkeypatch.setattr(progress_module, "PATIENCE", 0.0)
        return lambda: capsys.readouterr().err

    return begin


def test_scripts_are_silent(capsys):
    nfa.audit(nfa.MLP(4, 5, 1, 3), gaussian(25, 4, dtype=torch.float32))
    assert capsys.readouterr().err == ""


def test_a_terminal_shows_the_layer_and_the_batch(terminal, monkeypatch):
    shown = terminal()
    drawn = []
    advance = progress_module._Bars.advance

    def drawn_at_once(bars, *args):
        advance(bars, *args)
        bars._bars.refresh()
        drawn.append(shown())

    monkeypatch.setattr(progress_module._Bars, "advance", drawn_at_once)
    nfa.audit(nfa.MLP(4, 5, 1, 3), gaussian(25, 4, dtype=torch.float32), batch_size=5)
    drawn = "".join(drawn)
    assert "measuring, batch 1" in drawn
    assert "auditing, layer layers." in drawn


def test_a_notebook_shows_it_too(monkeypatch):
    """Where it can draw: with ipywidgets."""
    monkeypatch.setitem(sys.modules, "ipykernel", progress_module)
    monkeypatch.setattr(progress_module, "find_spec", lambda name: object())
    with progress("counting", 3):
        assert progress_module._drawn.get() is not None
    monkeypatch.setattr(progress_module, "find_spec", lambda name: None)
    with progress("counting", 3):
        assert progress_module._drawn.get() is None


def test_work_within_work_shares_the_display(terminal):
    shown = terminal()
    with progress("outer", 2) as outer:
        outer(1, "first")
        display = progress_module._drawn.get()
        with progress("inner", 2) as inner:
            assert progress_module._drawn.get() is display
            inner(1, "second")
            display._bars.refresh()
        assert display._bars.live.is_started
    assert not display._bars.live.is_started
    assert progress_module._drawn.get() is None
    drawn = shown()
    assert "outer, first" in drawn
    assert "inner, second" in drawn


def test_work_that_is_left_in_the_middle_leaves_no_display(terminal):
    terminal()

    def steps():
        with progress("counting", 3) as advance:
            for number in range(3):
                advance(1)
                yield number

    for _ in steps():
        break
    assert progress_module._drawn.get() is None


def test_of_several_processes_the_first_draws(terminal, monkeypatch):
    shown = terminal()
    monkeypatch.setattr(sys.modules["nfa.common.processes"], "processes", lambda: Processes(rank=1, size=2))
    with progress("counting", 3) as advance:
        advance(3)
    assert shown() == ""


def test_nothing_is_drawn_where_no_bars_are_wanted(terminal):
    shown = terminal()
    with bars(False), progress("counting", 3) as advance:
        advance(3)
    assert shown() == ""
