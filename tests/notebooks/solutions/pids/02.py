"""Solution of the exercise pids-02."""

import subprocess

import labrt
from labrt.lessons import by_hand

most = int(labrt.draw("pids-02"))
folder = by_hand.folder("pids") / "overfull"
folder.mkdir()
(folder / "pids.max").write_text(str(most))
processes = [subprocess.Popen(["sleep", "600"]) for _ in range(most + 1)]
for process in processes:
    (folder / "cgroup.procs").write_text(str(process.pid))
