"""Solution of the exercise processes-01."""

import os
import subprocess

import labrt

environment = {**os.environ, "LAB_WORD": labrt.draw("processes-01")}
mine = subprocess.Popen(["sleep", "600"], env=environment)
