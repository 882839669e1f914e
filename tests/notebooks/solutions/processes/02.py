"""Solution of the exercise processes-02."""

import subprocess

import labrt

zombie = subprocess.Popen(["sh", "-c", f"exit {labrt.draw('processes-02')}"])
