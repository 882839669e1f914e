"""Solution of the exercise io-01."""

import labrt
from labrt.lessons import disks

limit = f"{disks.lab_disk()}:{labrt.draw('io-01')}k"
mine = labrt.run("busybox", ["sleep", "600"], device_write_bps=[limit])
