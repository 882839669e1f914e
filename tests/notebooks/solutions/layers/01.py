"""Solution of the exercise layers-01."""

import labrt

script = f"rm /bin/{labrt.draw('layers-01')}; sleep 600"
mine = labrt.run("busybox", ["sh", "-c", script])
