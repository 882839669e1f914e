"""JupyterHub's settings for a class (vagrant/class.sh hub, docs/machine.md): PAM lets the class in,
systemd runs each one's JupyterLab. Read by JupyterHub, in a folder of its own that goes with it.
"""

import os
import secrets
from pathlib import Path

from vagrant.hub.spawner import StudentServer

CLASS = "lab-class"  # the group of those who are in the class
SLOW = 600  # seconds that a busy server may take to start somebody's JupyterLab

c = get_config()  # type: ignore[name-defined] # noqa: F821 # JupyterHub's name, not an import

c.JupyterHub.bind_url = os.environ["LAB_HUB_URL"]
if c.JupyterHub.bind_url.startswith("https:"):
    c.JupyterHub.ssl_cert = os.environ["LAB_HUB_CERT"]
    c.JupyterHub.ssl_key = os.environ["LAB_HUB_KEY"]

c.JupyterHub.authenticator_class = "pam"
c.PAMAuthenticator.allowed_groups = {CLASS}
c.PAMAuthenticator.open_sessions = False  # the student's systemd runs without one (linger)

# Debian's proxy, with its parts where Debian's Node.js looks; another Node.js must be told.
os.environ["NODE_PATH"] = "/usr/share/nodejs"

c.JupyterHub.spawner_class = StudentServer
c.Spawner.cmd = ["/usr/local/lib/lab/jupyter"]
c.Spawner.default_url = "/lab"
c.Spawner.start_timeout = c.Spawner.http_timeout = SLOW

# By this token class.sh asks the hub: drawn at each start, in the folder that only root looks into.
token = Path("class-token")
token.touch(mode=0o600)
token.write_text(secrets.token_hex(32))
c.JupyterHub.services = [{"name": "class", "api_token": token.read_text()}]
c.JupyterHub.load_roles = [
    {"name": "class", "scopes": ["list:users", "delete:users"], "services": ["class"]}
]
