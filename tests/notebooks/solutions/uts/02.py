"""Solution of the exercise uts-02."""

import subprocess

import labrt

script = f"hostname {labrt.draw('uts-02')}; exec sleep 600"
by_hand = subprocess.Popen(
    ["unshare", "--user", "--map-root-user", "--uts", "sh", "-c", script],
)
