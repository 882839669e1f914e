"""Solution of the exercise cgroupns-02."""

import subprocess

import labrt

unshare = ["unshare", "--user", "--map-root-user", "--cgroup"]
by_hand = subprocess.Popen([*unshare, "sleep", labrt.draw("cgroupns-02")])
