"""Solution of the exercise mnt-02."""

import subprocess

import labrt
from labrt.lessons.small_root import SmallRoot

folder = SmallRoot()
script = f"""
mount --bind {folder} {folder}
cd {folder}
/bin/busybox touch {labrt.draw("mnt-02")}
pivot_root . old
/bin/umount -l /old
exec /bin/sleep 600
"""
unshare = ["unshare", "--user", "--map-root-user", "--mount"]
by_hand = subprocess.Popen([*unshare, "sh", "-c", script])
