"""Solution of the exercise user-01."""

import os
import tempfile

import labrt

shared = tempfile.TemporaryDirectory()
os.chmod(shared.name, 0o777)  # for the kernel, the container's root is one of "the others"
script = f"touch /shared/{labrt.draw('user-01')}; sleep 600"
mine = labrt.run("busybox", ["sh", "-c", script], volume=(f"{shared.name}:/shared",))
