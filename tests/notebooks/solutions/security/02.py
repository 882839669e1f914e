"""Solution of the exercise security-02."""

import subprocess

import labrt

names = labrt.draw("security-02").replace("CAP_", "").lower().split()
without = ",".join(f"-{name}" for name in names)
unshare = ["unshare", "--user", "--map-root-user"]
setpriv = ["setpriv", "--bounding-set", without, "--no-new-privs"]
by_hand = subprocess.Popen([*unshare, *setpriv, "sleep", "600"])
