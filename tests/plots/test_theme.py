"""The theme: colours that everyone can tell apart, figures that come out the same each time."""

import itertools

import numpy as np
import pytest

from nfa import InputError
from nfa.plots import DOUBLE, ROLES, SINGLE, figure, literal, save, themed
from nfa.plots.theme import MARKERS, PALETTE

# Machado, Oliveira, Fernandes 2009, severity 1: linear RGB as seen with one kind of cone missing.
VISION = {
    "normal": np.eye(3),
    "protanopia": np.array([[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216],
                            [-0.003882, -0.048116, 1.051998]]),
    "deuteranopia": np.array([[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413],
                              [-0.011820, 0.042940, 0.968881]]),
    "tritanopia": np.array([[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602],
                            [0.004733, 0.691367, 0.303900]]),
}  # fmt: skip
# Linear RGB to CIE XYZ, D65 white at 1.
TO_XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])


def linear(colour):
    rgb = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)


def lab(rgb):
    ratio = TO_XYZ @ rgb.clip(0, 1) / [0.9505, 1.0, 1.089]
    f = np.where(ratio > 0.008856, np.cbrt(ratio), 7.787 * ratio + 16 / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def contrast(a, b):
    low, high = sorted(float(TO_XYZ[1] @ linear(colour)) for colour in (a, b))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("vision", VISION)
def test_colours_are_told_apart_with_any_colour_vision(vision):
    seen = [lab(VISION[vision] @ linear(colour)) for colour in PALETTE]
    assert min(np.linalg.norm(a - b) for a, b in itertools.combinations(seen, 2)) > 15


def test_colours_stand_out_from_white_paper():
    assert all(contrast(colour, "#FFFFFF") > 2.95 for colour in PALETTE)


def test_every_role_has_a_marker_of_its_own():
    assert ROLES.keys() == MARKERS.keys()
    assert len(set(MARKERS.values())) == len(PALETTE)


@pytest.mark.parametrize("suffix", [".pdf", ".png", ".svg"])
def test_a_redraw_is_the_same_file(suffix, tmp_path):
    def draw(path):
        fig, ax = figure()
        ax.plot([0, 1], [1, 0], label="a")
        ax.legend()
        return save(fig, path).read_bytes()

    assert draw(tmp_path / f"a{suffix}") == draw(tmp_path / f"b{suffix}")


def test_sizes_are_those_of_a_paper(tmp_path):
    for width in (SINGLE, DOUBLE):
        fig, _ = figure(width=width, height=2)
        svg = save(fig, tmp_path / "a.svg").read_text()
        assert f'width="{width * 72:g}pt"' in svg


def test_the_theme_ends_where_it_began():
    import matplotlib as mpl

    before = dict(mpl.rcParams)
    with themed():
        assert mpl.rcParams["font.size"] == 8
    assert dict(mpl.rcParams) == before


def test_the_theme_within_the_theme_is_the_same():
    import matplotlib as mpl

    before = dict(mpl.rcParams)
    with themed():
        mpl.rcParams["font.size"] = 9  # of the outer one, which a part that enters it again leaves alone
        with themed():
            assert mpl.rcParams["font.size"] == 9
        assert mpl.rcParams["font.family"] == ["sans-serif"]
    assert dict(mpl.rcParams) == before
    with themed():
        assert mpl.rcParams["font.size"] == 8


def test_no_window_and_no_pyplot_figure_is_opened():
    import matplotlib.pyplot as plt

    figure(2, 2)
    assert plt.get_fignums() == []


def test_another_ending_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"out: '.gif' is unknown.*known: .pdf, .png, .svg"):
        save(figure()[0], tmp_path / "a.gif")


def test_a_folder_that_is_not_there_is_said(tmp_path):
    with pytest.raises(InputError, match=r"out: cannot write .*No such file"):
        save(figure()[0], tmp_path / "gone" / "a.pdf")


@pytest.mark.parametrize("name", ["$", "$x$", "a$b", r"\$x$y", r"$\frac{", "a\nb"])
def test_a_label_is_drawn_as_it_is_written(name, tmp_path):
    fig, ax = figure()
    ax.set_title(literal(name))
    drawn = save(fig, tmp_path / "a.svg").read_text()
    assert f">{name.replace(chr(10), '?')}</text>" in drawn


def test_plots_compute_nothing_and_know_tables_only():
    import ast
    from pathlib import Path

    import nfa.plots

    known = set()
    for file in Path(nfa.plots.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            names += [each.name for each in node.names] if isinstance(node, ast.Import) else []
            known |= {tuple(name.split(".")[:2]) if name.startswith("nfa") else (name.split(".")[0],) for name in names}
    assert {each for each in known if each[0] == "nfa"} == {("nfa", "common"), ("nfa", "plots"), ("nfa", "tables")}
    assert ("torch",) not in known
