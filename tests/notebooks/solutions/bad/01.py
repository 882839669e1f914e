"""Solution of the exercise bad-01."""

import os

import labrt

size = int(labrt.draw("bad-01")) * 1024
fill = f"head -c {size} /dev/zero | tr '\\0' x"
reader, writer = os.pipe()
script = f"(sleep 600 & x=$({fill}); echo ready; wait; echo $x) & wait"
mine = labrt.run("busybox", ["sh", "-c", script], stdout=writer)
os.read(reader, 1)
