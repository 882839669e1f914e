"""Solution of the exercise user-02."""

import os
import subprocess

import labrt
from labrt.lessons import observe

by_hand = subprocess.Popen(["unshare", "--user", "sleep", "600"])
while observe.namespace(by_hand.pid, "user") == observe.namespace("self", "user"):
    pass  # unshare hasn't come so far yet
with open(f"/proc/{by_hand.pid}/uid_map", "w") as file:
    file.write(f"{labrt.draw('user-02')} {os.geteuid()} 1")
