"""Solution of the exercise io-02."""

import labrt

copy = f"dd if=/dev/zero of=file bs=1M count={labrt.draw('io-02')} oflag=direct 2>/dev/null"
writer = labrt.run("busybox", ["sh", "-c", f"{copy}; exec sleep 600"])
