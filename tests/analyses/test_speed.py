"""Time by width, its figure, and pages that are filled by commands; no time is asserted."""

from itertools import pairwise

import pandas as pd
import pytest
import torch

from analyses import benchmark_convolutions, benchmark_ranks
from analyses.analysis import Options
from analyses.fill import filled
from analyses.speed import PARTS, cells, findings, medians, rows
from figures.speed import LABELS, draw


@pytest.fixture
def table():
    seconds = {"audit": 4.0, "agop": 2.0, "baseline": 8.0, "floor": 1.0}
    return pd.DataFrame(
        {**cell, "round": number, "part": part, "processor_seconds": value * cell["width"]}
        for cell in cells(Options())
        for number in (1, 2, 3)
        for part, value in seconds.items()
    )


def test_a_cell_has_every_part_in_every_round():
    threads = torch.get_num_threads()
    (cell, *_) = cells(Options(quick=True))
    found = pd.DataFrame(rows(cell, Options(quick=True)))
    torch.set_num_threads(threads)
    assert sorted(found["part"]) == sorted(PARTS)
    assert (found["processor_seconds"] >= 0).all()


def test_the_findings_are_the_medians(table):
    table.loc[0, "processor_seconds"] *= 100  # a disturbed round
    assert medians(table).loc[64].tolist() == [256.0, 128.0, 512.0, 64.0]
    assert findings(table)[0] == (
        "Width 64: the audit takes 256 s of the processor, 2.00 sweeps and 0.50 times the baseline; "
        "the sweep is 2.00 times the floor."
    )


def test_the_figure_has_a_bar_for_each_part_and_width(table):
    (ax,) = draw(table).axes
    assert [bars.get_label() for bars in ax.containers] == [label for _, label, _ in LABELS.values()]
    for part, bars in zip(PARTS, ax.containers, strict=True):
        assert [bar.get_height() for bar in bars] == medians(table)[part].tolist()
    edges = sorted((bar.get_x(), bar.get_x() + bar.get_width()) for bars in ax.containers for bar in bars)
    assert all(right <= left + 1e-9 for (_, right), (left, _) in pairwise(edges))
    assert ax.get_yscale() == "log"


def test_a_page_keeps_what_is_not_asked_for():
    page = (
        "# Page\n<!-- fill: python -m a --x 1 -->\nold\n<!-- end -->\n<!-- fill: python -m b -->\nold\n<!-- end -->\n"
    )
    found = filled(page, lambda command: "-m b" in command, lambda command: f"{command}  \n3 s\n\n")
    assert found == page.replace("-m b -->\nold", "-m b -->\n```text\n$ python -m b\n-m b\n3 s\n```")
    assert filled(found, lambda command: "-m b" in command, lambda command: "4 s") == found.replace(
        "\n-m b\n3 s\n", "\n4 s\n"
    )


def test_the_floor_of_convolutions_counts_positions():
    net = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.Flatten(), torch.nn.Linear(4 * 36, 10))
    operations = benchmark_convolutions.sum_operations(net, torch.zeros(5, 3, 8, 8))
    assert operations == 5 * 10 * (36 * 4 * 4 / 2 + 10 * 10 / 2)


@pytest.mark.parametrize("name", benchmark_convolutions.NETWORKS)
def test_torchs_own_pass_runs(name):
    net = benchmark_convolutions.NETWORKS[name]().eval()
    benchmark_convolutions.torch_alone(net, torch.zeros(2, 3, 32, 32))


def test_what_processes_send_is_counted_as_it_is_kept():
    from nfa.features.upper_sums import UpperSums

    for k in (3, 128, 200, 1024, 1500):
        strips = UpperSums(1, k, torch.zeros(1))._strips
        assert benchmark_ranks.upper_entries(k) == sum(strip.numel() for strip in strips)
