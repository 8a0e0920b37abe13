"""Several audits on one page."""

from dataclasses import replace

import numpy as np
import pytest
from helpers import gaussian, perturbed
from pages import Page

import nfa
from nfa.report import compare, render_comparison
from nfa.report.comparing import COMPARED


@pytest.fixture
def two(small):
    """Audits of networks that share two layers, one of another shape."""
    net, X = small
    shorter = nfa.MLP(6, [8], n_outputs=4, seed=1).double()
    return {"deep": nfa.audit(net, X, perturbed(net)), "short": nfa.audit(shorter, X[:30])}


def test_numbers_stand_side_by_side_by_layer(two):
    rows = {row[0]: row[1:] for row in Page(render_comparison(two)).rows()}
    assert list(rows) == ["layers.0", "layers.1", "layers.2"]
    for name, cells in rows.items():
        for number, column in enumerate(COMPARED):
            for place, audit in enumerate(two.values()):
                text = cells[2 * number + place]
                if name not in {layer["name"] for layer in audit}:
                    assert text == "not there"
                elif column == "verdict":
                    assert text == audit[name][column] == ("trivial" if audit[name]["trivial"] else "no score")
                elif audit[name][column] == audit[name][column]:
                    assert float(text) == pytest.approx(audit[name][column], rel=1e-3)
                else:
                    assert text == "–"


def test_on_paper_audits_stand_below_each_other(two):
    columns = [*COMPARED, "nfm_trace", "pearson"]
    page = Page(render_comparison(two, columns))
    sheets = [page.rows("sheet-0"), page.rows("sheet-1")]
    expected = [("layers.0", "deep"), ("layers.0", "short"), ("layers.1", "deep"), ("layers.1", "short"),
                ("layers.2", "deep")]  # fmt: skip
    for sheet, shown in zip(sheets, (columns[:7], columns[7:]), strict=True):
        assert [tuple(row[:2]) for row in sheet] == expected
        for name, audit, *cells in sheet:
            for column, text in zip(shown, cells, strict=True):
                value = two[audit][name][column]
                if isinstance(value, float) and value == value:
                    assert float(text) == pytest.approx(value, rel=1e-3)
                else:
                    assert text == (value if isinstance(value, str) else "–")
    assert page.rows("sheet-2") == []


def test_what_differs_is_said(two):
    said = Page(render_comparison(two)).texts("li")
    assert "short has no layer layers.2." in said
    assert "Layer layers.1 has not the same shape everywhere (deep: 8 to 5; short: 8 to 4)." in said
    assert "The audits differ in their number of rows (deep: 40; short: 30)." in said
    assert "The audits differ in their number of outputs (deep: 3; short: 4)." in said
    assert len(said) == 4


def test_scores_and_names_are_there(two):
    page = Page(render_comparison(two))
    assert page.texts("h1") == ["Comparison of 2 audits"]
    assert {"deep", "short"} <= set(page.texts("th"))
    assert {"unknown", "all 40 rows of a tensor"} <= set(page.texts("td"))
    labels = [attributes["aria-label"] for tag, attributes, _ in page.elements if tag == "svg"]
    assert f"layers.0, short {two['short'][0]['cosine']:.2f}" in labels[1]


def test_columns_can_be_chosen(two, tmp_path):
    page = Page(compare(two, tmp_path / "a.html", ["nfm_trace", "pearson"]).read_text())
    assert page.texts("dt") == ["nfm_trace", "pearson"]
    assert len(page.rows()[0]) == 5


def test_columns_on_request_can_be_chosen(two, small, tmp_path):
    net, X = small
    two["deep"] = nfa.audit(net, (X, gaussian(len(X), 3)), loss="mse")
    rows = Page(compare(two, tmp_path, ["fact_cosine", "published_cosine"]).read_text()).rows()
    assert float(rows[0][1]) == pytest.approx(two["deep"][0]["fact_cosine"], rel=1e-3)
    assert rows[0][2:] == ["–"] * 3


def test_folders_are_called_by_what_tells_them_apart(two, tmp_path):
    for name, audit in two.items():
        audit.save(tmp_path / name / "audit")
    page = Page(compare([tmp_path / "deep" / "audit", str(tmp_path / "short" / "audit")], tmp_path).read_text())
    assert {"deep/audit", "short/audit"} <= set(page.texts("th"))
    assert (tmp_path / "compare.html").is_file()


def test_hostile_names_stay_text(two):
    hostile = {"<img src=x onerror=alert(1)>": two["deep"], "</script><script>x": two["short"]}
    two["deep"] = replace(two["deep"], about=replace(two["deep"].about, model="\"onload='x"))
    source = render_comparison(hostile)
    page = Page(source)
    assert source.count("<script") == 1
    assert "img" not in page.tags()
    assert not {name for name in page.attributes() if name.startswith("on")}
    assert set(hostile) <= set(page.texts("th"))


def test_bad_calls_name_the_argument(two, tmp_path):
    with pytest.raises(nfa.InputError, match=r"^audits: got 1, expected two or more"):
        compare({"deep": two["deep"]}, tmp_path)
    with pytest.raises(nfa.InputError, match=r"^audits: got Audit, expected folders, or audits by name: \{"):
        compare(list(two.values()), tmp_path)
    with pytest.raises(nfa.InputError, match=r"^audits: got int, expected folders, or audits by name: \{"):
        compare(3, tmp_path)
    with pytest.raises(nfa.InputError, match=r"^audits: 'deep' is str, expected an Audit$"):
        compare({"deep": "deep", "short": "short"}, tmp_path)
    with pytest.raises(nfa.InputError, match=r"^columns: 'cosin' is unknown; did you mean 'cosine'"):
        compare(two, tmp_path, ["cosin"])
    with pytest.raises(nfa.InputError, match=r"^columns: 'note' is unknown"):
        compare(two, tmp_path, ["note"])
    (tmp_path / "folder.html").mkdir()
    with pytest.raises(nfa.InputError, match=r"^out: .* is a folder"):
        compare(two, tmp_path / "folder.html")
    (tmp_path / "file").touch()
    with pytest.raises(nfa.InputError, match=r"^out: cannot write to"):
        compare(two, tmp_path / "file")


def test_runs_of_one_architecture_are_averaged(small):
    net, X = small
    y = (X[:, 0] > 0).long()
    runs = {f"seed-{seed}": nfa.audit(perturbed(net, seed=seed), (X, y), net) for seed in range(3)}
    page = Page(
        render_comparison(runs | {"other": nfa.audit(nfa.MLP(6, [8], n_outputs=3).double(), (X, y))}, ["cosine"])
    )
    assert "Over runs" in page.texts("h2")
    values = [audit[0]["cosine"] for audit in runs.values()]
    (cell,) = [
        text for text in page.texts("td") if text.startswith(f"{np.mean(values):.3f} ± {np.std(values, ddof=1):.3f}")
    ]
    assert "null" in cell
    assert sum("of 3 runs" in text for text in page.texts("td")) == 3  # a line for each layer of the one network


def test_means_over_fewer_runs_say_so(small):
    net, X = small
    runs = {f"seed-{seed}": nfa.audit(perturbed(net, seed=seed), X, net) for seed in range(3)}
    rows = [audit[0].row for audit in runs.values()]

    def said():
        texts = Page(render_comparison(runs, ["cosine"])).texts("td")
        return texts[texts.index("layers.0") + 2]

    rows[0]["cosine"] = float("nan")
    del rows[2]["ci_low"]
    left, nulls = ([row[column] for row in rows[1:]] for column in ("cosine", "rotated_cosine"))
    assert said() == (
        f"{np.mean(left):.3f} ± {np.std(left, ddof=1):.3f} in 2 of 3 runs"
        f" ({rows[1]['ci_low']:.3f} to {rows[1]['ci_high']:.3f} in 1 of 3 runs; null {np.mean(nulls):.3f})"
    )
    rows[1]["cosine"] = float("nan")
    assert said() == f"{left[1]:.3f} in 1 of 3 runs (null {nulls[1]:.3f})"
    rows[2]["cosine"] = float("nan")
    assert said() == "–"


def test_audits_that_are_no_runs_of_one_network_are_not_averaged(two):
    assert "Over runs" not in Page(render_comparison(two)).texts("h2")
