"""labrt/lessons/trees.py: parents point to their children."""

from __future__ import annotations

import os
import subprocess

from labrt.lessons.trees import process_tree


def test_a_child_hangs_below_its_parent() -> None:
    with subprocess.Popen(["sh", "-c", "sleep 60 & wait"]) as shell:
        while not (below := process_tree(shell)).text.count("sleep"):
            pass
        shown = process_tree(os.getpid(), depth=1)
        subprocess.run(["pkill", "-P", str(shell.pid)], check=True)
    assert f"p{os.getpid()} --> p{shell.pid}" in shown.markdown
    assert "sleep" not in shown.text.partition(str(shell.pid))[2].splitlines()[0]
    assert f"p{shell.pid} --> p" in below.markdown
