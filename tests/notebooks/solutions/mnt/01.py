"""Solution of the exercise mnt-01."""

import labrt

mine = labrt.run("busybox", ["sleep", "600"], tmpfs=(f"/{labrt.draw('mnt-01')}",))
