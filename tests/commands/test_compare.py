"""`nfa compare`, as a user calls it."""

import sys

import pytest

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
    assert run(capsys, "A", "B", "--out", "here") == (0, "Wrote here/compare.html.\n", "")
    assert run(capsys, "A", "B", "--out", "two.html", "--columns", "cosine, pearson") == (0, "Wrote two.html.\n", "")
    assert "cosine_sqrt" in (folders / "here" / "compare.html").read_text()
    assert "cosine_sqrt" not in (folders / "two.html").read_text()


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
