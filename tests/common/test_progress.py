"""Progress on a terminal."""

import torch
from helpers import gaussian

import nfa


def test_progress_is_shown_on_a_terminal_alone(monkeypatch, capsys):
    import sys

    net, X = nfa.MLP(4, 5, 1, 3), gaussian(25, 4, dtype=torch.float32)
    nfa.audit(net, X)
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setattr(sys.modules["nfa.common.progress"], "PATIENCE", 0.0)
    nfa.audit(net, X, batch_size=5)
    assert "measuring" in capsys.readouterr().err
