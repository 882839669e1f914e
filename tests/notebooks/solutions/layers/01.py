"""Solution of the exercise layers-01."""

import labrt

script = f"cd /bin; rm {labrt.draw('layers-01')}; sleep 600"
mine = labrt.run("busybox", ["sh", "-c", script])
