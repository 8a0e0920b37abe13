"""Files are whole or as they were, whatever happens while they are written."""

import errno
import os
import resource
import signal
import sys
from pathlib import Path

import pytest
import torch

import nfa
from nfa.common.writing import alone, replacing, write_tensors
from nfa.formats import save_model
from nfa.network import Model
from nfa.rfm import RFMRegressor


def full(*_args, **_options):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_files_take_their_places_together(tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"
    one.write_text("old")
    with replacing("out", one, two) as (new_one, new_two):
        new_one.write_text("new")
        assert one.read_text() == "old"
        new_two.write_text("new")
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"one": "new", "two": "new"}


@pytest.mark.parametrize(
    "error", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt(), ValueError("x")]
)
def test_after_an_error_the_older_file_stays_and_nothing_else(tmp_path, error):
    file = tmp_path / "file"
    file.write_text("old")
    expected = nfa.InputError if isinstance(error, OSError) else type(error)

    def stop():
        with replacing("out", file, tmp_path / "other") as (new, _):
            new.write_text("half")
            raise error

    with pytest.raises(expected) as caught:
        stop()
    assert isinstance(error, OSError) == (
        str(caught.value).startswith("out: cannot write") and "No space" in str(caught.value)
    )
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"file": "old"}


def test_two_writers_of_one_file_do_not_meet(tmp_path):
    file = tmp_path / "file"
    with replacing("out", file) as (one,), replacing("out", file) as (other,):
        assert one != other
        one.write_text("one")
        other.write_text("other")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert file.read_text() == "one"


def test_a_file_is_held_by_one_run_at_a_time(tmp_path):
    file = tmp_path / "file"
    with (
        alone("checkpoint", file),
        pytest.raises(nfa.InputError, match=r"^checkpoint: another run is writing .*file$"),
        alone("checkpoint", file),
    ):
        pass
    with alone("checkpoint", file):
        pass
    assert list(tmp_path.iterdir()) == []


FIGURES = ("pdf", "png", "svg")


def saved_things(small):
    """What can be saved, each with the way to save it into a folder."""
    net, X = small
    audit = nfa.audit(net, X)
    machine = RFMRegressor(n_iters=1).fit(X.numpy(), X[:, 0].numpy())
    data = nfa.Dataset(X.float().numpy(), X[:, 0].float().numpy())
    fig, ax = nfa.plots.figure()
    ax.plot([1, 2])
    figures = {suffix: lambda folder, suffix=suffix: nfa.plots.save(fig, folder / f"f.{suffix}") for suffix in FIGURES}
    return figures | {
        "audit": audit.save,
        "report": lambda folder: nfa.report.write(audit, folder),
        "comparison": lambda folder: nfa.report.compare({"one": audit, "two": audit}, folder),
        "network": lambda folder: save_model(folder / "net.safetensors", Model(net, "net")),
        "machine": lambda folder: machine.save(folder / "machine.safetensors"),
        "checkpoint": lambda folder: nfa.train(
            nfa.MLP(6, 4, 1, 1), data, loss="mse", epochs=1 + 9 * (folder / "c.pt").exists(), checkpoint=folder / "c.pt"
        ),
    }


def contents(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


@pytest.mark.parametrize("what", [*FIGURES, "audit", "report", "comparison", "network", "machine", "checkpoint"])
def test_a_full_disk_is_one_line_and_the_older_files_stay(small, tmp_path, what):
    """A limit on the size of files stops every writer as a full disk does, in this process and in libraries."""
    save = saved_things(small)[what]
    save(tmp_path)
    before = contents(tmp_path)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, limits[1]))
    try:
        with pytest.raises(nfa.InputError, match="cannot write") as caught:
            save(tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert "\n" not in str(caught.value)
    assert contents(tmp_path) == before


def test_a_full_disk_ends_a_command_with_status_2(tmp_path, monkeypatch, capsys):
    from nfa.cli import main

    monkeypatch.setattr(Path, "replace", full)
    monkeypatch.setattr(
        sys, "argv", ["nfa", "train", "digits", "--width", "4", "--epochs", "1", "--out", str(tmp_path)]
    )
    with pytest.raises(SystemExit) as caught:
        main()
    error = capsys.readouterr().err
    assert (caught.value.code, error.count("\n")) == (2, 1)
    assert "No space left on device" in error
    assert list(tmp_path.iterdir()) == []


def test_tensors_that_cannot_be_written_are_an_os_error(tmp_path):
    with pytest.raises(OSError, match="directory"):
        write_tensors(tmp_path / "none" / "a.safetensors", {"a": torch.ones(1)})


def test_an_audit_killed_between_its_files_is_refused(tmp_path):
    nfa.audit(nfa.MLP(4, 8, 1, 2), torch.eye(4)).save(tmp_path)
    other, moved = nfa.audit(nfa.MLP(4, 8, 1, 2, seed=1), torch.eye(4)), Path.replace

    def killed(path, target):
        moved(path, target)
        os.kill(os.getpid(), signal.SIGKILL)

    if (child := os.fork()) == 0:
        Path.replace = killed
        other.save(tmp_path)
        os._exit(0)
    assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGKILL
    with pytest.raises(nfa.InputError, match=r"^audit: .* does not hold a whole audit: audit.json and features"):
        nfa.Audit.load(tmp_path)
    other.save(tmp_path)
    assert nfa.Audit.load(tmp_path)[0]["cosine"] == other[0]["cosine"]


def test_a_table_beside_the_matrices_of_another_audit_is_refused(tmp_path):
    for seed in (0, 1):
        nfa.audit(nfa.MLP(4, 8, 1, 2, seed=seed), torch.eye(4)).save(tmp_path / str(seed))
    (tmp_path / "0" / "audit.json").replace(tmp_path / "1" / "audit.json")
    with pytest.raises(nfa.InputError, match="are of different audits"):
        nfa.Audit.load(tmp_path / "1")


@pytest.mark.parametrize(("mask", "mode"), [(0o022, 0o644), (0o077, 0o600)])
def test_files_of_tensors_have_the_mode_that_the_umask_gives(tmp_path, mask, mode):
    before = os.umask(mask)
    try:
        with replacing("out", tmp_path / "a.safetensors") as (new,):
            write_tensors(new, {"W": torch.eye(2)})
    finally:
        os.umask(before)
    assert (tmp_path / "a.safetensors").stat().st_mode & 0o777 == mode
