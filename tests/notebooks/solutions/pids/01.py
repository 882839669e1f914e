"""Solution of the exercise pids-01."""

import labrt

others = int(labrt.draw("pids-01")) - 1  # the shell is one, too
start = "sleep 600 & " * others
mine = labrt.run("busybox", ["sh", "-c", f"{start} wait"], pids_limit=labrt.draw("pids-01"))
