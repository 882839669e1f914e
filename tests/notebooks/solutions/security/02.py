"""Solution of the exercise security-02."""

import subprocess

import labrt

without = "-" + labrt.draw("security-02").removeprefix("CAP_").lower()
unshare = ["unshare", "--user", "--map-root-user"]
setpriv = ["setpriv", "--bounding-set", without, "--no-new-privs"]
by_hand = subprocess.Popen([*unshare, *setpriv, "sleep", "600"])
