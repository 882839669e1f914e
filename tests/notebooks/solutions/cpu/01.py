"""Solution of the exercise cpu-01."""

import labrt

busy = ["sh", "-c", "while :; do :; done"]
mine = labrt.run("busybox", busy, cpus=int(labrt.draw("cpu-01")) / 100)
