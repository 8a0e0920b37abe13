"""`nfa compare`, as a user calls it."""

import re
import sys

import pytest
import torch
from pages import Page

import nfa
from nfa import cli


@pytest.fixture
def folders(small, tmp_path, monkeypatch):
    """Two audits, A and B, in the current folder."""
    monkeypatch.chdir(tmp_path)
    for name in "AB":
        nfa.audit(*small, name=name).save(name)
    return tmp_path


def run(capsys, *arguments):
    sys.argv = ["nfa", "compare", *arguments]
    with pytest.raises(SystemExit) as caught:
        cli.main()
    out, err = capsys.readouterr()
    return caught.value.code, out, err


def test_a_page_in_a_folder_or_a_file(folders, capsys):
    for written, arguments in {
        "here/compare.html": ["--out", "here"],
        "two.html": ["--out", "two.html", "--columns", "cosine, pearson"],
    }.items():
        status, out, err = run(capsys, "A", "B", *arguments)
        assert (status, err) == (0, "")
        assert out.endswith(f"Wrote {written}.\n")
    assert "cosine_sqrt" in (folders / "here" / "compare.html").read_text()
    assert "cosine_sqrt" not in (folders / "two.html").read_text()


def test_audits_that_are_no_runs_are_shown_in_brief(folders, capsys, small):
    net, X = small
    nfa.audit(net, (X, torch.arange(40) % 3)).save("A")
    _, out, _ = run(capsys, "A", "B", "--out", "two.html")
    first, second = (line for line in out.splitlines() if line.startswith(("  A ", "  B ")))
    assert re.match(r"  A +accuracy 0\.\d{3} \(a constant answer 0\.350\) +2 unclear, 1 trivial *$", first)
    assert second.split() == ["B", "unknown", "2", "no", "score,", "1", "trivial"]


def test_a_folder_of_audits_is_all_of_them_and_the_runs_have_the_network_s_name(capsys, small, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for seed in range(3):
        nfa.audit(*small, name="Net").save(f"s/seed-{seed}")
    status, out, _ = run(capsys, "s", "--out", "s.html")
    assert status == 0
    assert [line.split()[0] for line in out.splitlines() if "layers." in line] == ["Net"] * 3
    page = Page((tmp_path / "s.html").read_text())
    assert "a tensor" not in page.texts("td") + page.texts("th")
    assert {"Net", "seed-0", "seed-2"} <= {*page.texts("td"), *page.texts("th")}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--out", "o"], "Missing argument"),
        (["A", "B"], "Missing option '--out'"),
        (["A", "--out", "o"], "audits: got 1, expected two or more"),
        (["A", "A", "--out", "o"], "audits: A is named twice"),
        (["A", "./A/../A", "--out", "o"], "audits: A is named twice"),
        (["A", "gone", "--out", "o"], "audit: no such file: gone/audit.json"),
        (["A", "empty", "--out", "o"], "audit: no such file: empty/audit.json"),
        (["A", "damaged", "--out", "o"], "audit: damaged does not hold a whole audit"),
        (["A", "B", "--out", "A/audit.json"], "out: cannot write to A/audit.json"),
        (["A", "B", "--out", "o", "--columns", "cosin"], "columns: 'cosin' is unknown; did you mean 'cosine'?"),
    ],
)
def test_a_bad_call_is_one_line_and_status_2(folders, capsys, small, arguments, message):
    (folders / "empty").mkdir()
    nfa.audit(*small).save("damaged")
    table = folders / "damaged" / "audit.json"
    table.write_text(table.read_text()[:-200])
    status, out, err = run(capsys, *arguments)
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert err.startswith("nfa: ")
    assert message in err
