"""Solution of the exercise apart-02."""

import subprocess

import labrt

unshare = ["unshare", "--user", "--map-root-user", "--uts", "--pid", "--fork"]
setpriv = "exec setpriv --no-new-privs --bounding-set=-all sleep 600"
script = f"hostname {labrt.draw('apart-02')} && {setpriv}"
by_hand = subprocess.Popen([*unshare, "sh", "-c", script])
