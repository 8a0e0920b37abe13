"""The loop that docs/training.md shows runs as it is written."""

import re
import subprocess
import sys
from pathlib import Path

from nfa.tracking import History

PAGE = (Path(__file__).parents[2] / "docs" / "training.md").read_text()


def test_the_loop_of_the_docs_runs_as_written(tmp_path):
    (block,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", block], cwd=tmp_path, check=True, capture_output=True, text=True
    )
    assert [line.split()[0] for line in done.stdout.splitlines()[:3]] == ["2", "4", "6"]
    frame = History.load(tmp_path / "run").to_frame()
    assert frame["epoch"].unique().tolist() == [0, 2, 4, 6]
    assert frame["score"].iloc[-4] > 0.8 > frame["score"].iloc[0]
