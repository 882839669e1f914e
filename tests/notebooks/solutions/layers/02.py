"""Solution of the exercise layers-02."""

import subprocess
import tempfile

import labrt
from labrt import paths

layers = tempfile.TemporaryDirectory(dir=paths.home())
script = f"""
mkdir one two upper work merged
mount -t overlay overlay -o lowerdir=one:two,upperdir=upper,workdir=work,userxattr merged
touch merged/{labrt.draw("layers-02")}
exec sleep 600
"""
unshare = ["unshare", "--user", "--map-root-user", "--mount"]
by_hand = subprocess.Popen([*unshare, "sh", "-c", script], cwd=layers.name)
