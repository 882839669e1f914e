"""Solution of the exercise vm-02: the firmware runs, and finds nothing to boot."""

import subprocess

import labrt

command = ["qemu-system-x86_64", "-name", labrt.draw("vm-02"), "-accel", "tcg"]
by_hand = subprocess.Popen([*command, "-nodefaults", "-display", "none"])
