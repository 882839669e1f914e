"""Solution of the exercise memory-01."""

import labrt

copy = f"dd if=/dev/zero of=/dev/shm/mine bs=1M count={labrt.draw('memory-01')}"
script = f"{copy} 2>/dev/null; exec sleep 600"
mine = labrt.run("busybox", ["sh", "-c", script], memory="64m", memory_swap="64m")
