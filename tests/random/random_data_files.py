"""Random files of data, of every kind that the package reads: whole ones with known content, and damaged ones.

`KINDS` maps a suffix to a maker: maker(rng, folder) writes a file and returns a `Made`. Its judge reads the file with
the package: None where what was read is right, else the kind of refusal.
"""

import base64
import contextlib
import resource
import signal
import tempfile
import time
from pathlib import Path

import data_files
import numpy as np

KINDS = data_files.KINDS
SECONDS = 60
"""Of computing for one file, which takes a few thousandths: more is a hang, not a slow machine."""
PATIENCE = 120
"""Seconds after which it hangs; machines are busy."""
MEBIBYTES = 512
"""That one file may add to the most memory ever used."""


class TooSlowError(BaseException):
    """No `Exception`, which a reader may take for damage of its file."""


def check(seed):
    with tempfile.TemporaryDirectory() as folder, bounded():
        return _made(seed, folder).judge()


def script(seed):
    with tempfile.TemporaryDirectory() as folder:
        made = _made(seed, folder)
        content = base64.b85encode(made.path.read_bytes()).decode()
        return (
            f"import base64, nfa\nopen({made.path.name!r}, 'wb').write(base64.b85decode({content!r}))\n"
            f"# {made.kind}\nprint({made.call})"
        )


def _made(seed, folder):
    suffixes = sorted(KINDS)
    return KINDS[suffixes[seed % len(suffixes)]](np.random.default_rng(seed), Path(folder))


@contextlib.contextmanager
def bounded():
    """Fail where the work within takes too much time or memory."""

    def late(number, frame):
        raise TooSlowError(f"more than {PATIENCE} s")

    start = time.process_time()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    handler = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, PATIENCE)
    try:
        yield
    except TooSlowError as error:
        raise AssertionError(str(error)) from error
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, handler)
    assert time.process_time() - start < SECONDS, f"{time.process_time() - start:.1f} s of computing"
    taken = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) >> 10
    assert taken < MEBIBYTES, f"{taken} MiB taken"
