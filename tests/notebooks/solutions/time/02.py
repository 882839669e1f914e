"""Solution of the exercise time-02."""

import subprocess

import labrt

unshare = ["unshare", "--user", "--map-root-user", "--time"]
command = [*unshare, "--monotonic", labrt.draw("time-02"), "--fork", "sleep", "600"]
by_hand = subprocess.Popen(command)
