"""Solution of the exercise time-01."""

import labrt

seconds = int(labrt.draw("time-01")) * 86400
mine = labrt.run("busybox", ["sleep", "600"], time_offset=(f"boottime={seconds}",))
