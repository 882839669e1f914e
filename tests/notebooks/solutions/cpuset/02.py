"""Solution of the exercise cpuset-02."""

import subprocess

import labrt
from labrt.lessons import by_hand

frozen = by_hand.make(labrt.draw("cpuset-02"))
process = subprocess.Popen(["sleep", "600"])
frozen.add(process.pid)
by_hand.echo(frozen, "cgroup.freeze", "1")
