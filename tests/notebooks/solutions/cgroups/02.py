"""Solution of the exercise cgroups-02."""

import subprocess

import labrt
from labrt.lessons import by_hand

second = by_hand.folder("pids") / "second"
second.mkdir()
(second / "pids.max").write_text(labrt.draw("cgroups-02"))
process = subprocess.Popen(["sh", "-c", f"echo $$ > {second}/cgroup.procs; exec sleep 600"])
