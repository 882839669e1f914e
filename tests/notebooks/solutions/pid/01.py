"""Solution of the exercise pid-01."""

import labrt

# The shell is process 1. Each subshell of the loop takes one number and ends at once.
script = f"n=2; while [ $n -lt {labrt.draw('pid-01')} ]; do (:); n=$((n+1)); done; sleep 600 & wait"
mine = labrt.run("busybox", ["sh", "-c", script])
