"""labrt/lessons/small_root.py: a folder that works as a root, and is gone afterwards."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from labrt.lessons.small_root import SmallRoot


def test_its_busybox_runs_with_the_folder_as_root_and_then_it_is_gone() -> None:
    with SmallRoot() as folder:
        words = ["unshare", "--user", "--map-root-user", "--root", folder, "ls", "/"]
        said = subprocess.check_output(words, text=True).split()
        assert said == sorted(os.listdir(folder)) == ["bin", "old", "proc", "tmp"]
    assert not Path(folder).exists()
