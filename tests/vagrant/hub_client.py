"""A student at a JupyterHub: logs in by the form, has a JupyterLab started, runs code in it.

Used on this host and, as it is part of the project, inside the lab machine.
"""

from __future__ import annotations

import json
import time
import uuid

import requests
import websocket

SECONDS = 600.0  # that an emulated machine may take to start a JupyterLab


class Student:
    """One student's session.

    Attributes:
        said: the hub's last answer that was no success.
    """

    def __init__(self, hub: str, name: str, certificate: str | None = None) -> None:
        self.hub, self.name = hub, name
        self.session = requests.Session()
        self.session.trust_env = False  # no proxy, no other certificates
        self.session.verify = certificate or True
        self.said = ""

    def log_in(self, password: str) -> int:
        """Send the login page's form; return the status of what follows."""
        page = f"{self.hub}/hub/login"
        self.session.get(page, timeout=SECONDS)
        form = {"username": self.name, "password": password, "_xsrf": self._xsrf()}
        answer = self.session.post(page, data=form, timeout=SECONDS, allow_redirects=False)
        if answer.status_code == 302:
            # From here on by a token, as programs do.
            made = self.session.post(
                f"{self.hub}/hub/api/users/{self.name}/tokens",
                headers={"X-XSRFToken": self._xsrf()},
                json={},
                timeout=SECONDS,
            )
            made.raise_for_status()
            self.session.cookies.clear()
            self.session.headers["Authorization"] = f"token {made.json()['token']}"
        return answer.status_code

    def start(self) -> bool:
        """Have one's JupyterLab started; return whether it came up."""
        server = f"{self.hub}/hub/api/users/{self.name}/server"
        answer = self.session.post(server, timeout=SECONDS)
        self.said = answer.text
        deadline = time.monotonic() + SECONDS
        while answer.ok and time.monotonic() < deadline:
            found = self._model()
            if not found.get("pending"):
                return bool(found.get("ready"))
            time.sleep(0.2)
        return False

    def stop(self) -> None:
        """Have it stopped, to the end."""
        self.session.delete(f"{self.hub}/hub/api/users/{self.name}/server", timeout=SECONDS)
        deadline = time.monotonic() + SECONDS
        while self._model() and time.monotonic() < deadline:
            time.sleep(0.2)

    def status(self, path: str) -> int:
        """Return the status of an address on the hub's."""
        address = f"{self.hub}{path}"
        return self.session.get(address, timeout=SECONDS, allow_redirects=False).status_code

    def run(self, code: str) -> str:
        """Run Python in a kernel of one's JupyterLab; return what it prints."""
        kernels = f"{self.hub}/user/{self.name}/api/kernels"
        made = self.session.post(kernels, json={"name": "python3"}, timeout=SECONDS)
        made.raise_for_status()
        way = websocket.create_connection(
            f"{kernels.replace('http', 'ws', 1)}/{made.json()['id']}/channels",
            header=[f"Authorization: {self.session.headers['Authorization']}"],
            timeout=SECONDS,
        )
        try:
            way.send(json.dumps(_request(code)))
            return _printed(way)
        finally:
            way.close()
            self.session.delete(f"{kernels}/{made.json()['id']}", timeout=SECONDS)

    def _xsrf(self) -> str:
        return self.session.cookies.get("_xsrf", path="/hub/") or ""

    def _model(self) -> dict[str, object]:
        answer = self.session.get(f"{self.hub}/hub/api/users/{self.name}", timeout=SECONDS)
        answer.raise_for_status()
        server: dict[str, object] = answer.json()["servers"].get("", {})
        return server


def _request(code: str) -> dict[str, object]:
    """The message by which a notebook has a cell run (Jupyter's messaging protocol)."""
    header = {"msg_id": uuid.uuid4().hex, "msg_type": "execute_request", "version": "5.3"}
    header |= {"session": uuid.uuid4().hex, "username": "", "date": ""}
    content = {"code": code, "silent": False, "store_history": False, "stop_on_error": True}
    content |= {"user_expressions": {}, "allow_stdin": False}
    return {
        "header": header,
        "parent_header": {},
        "metadata": {},
        "content": content,
        "channel": "shell",
    }


def _printed(way: websocket.WebSocket) -> str:
    printed = ""
    while True:
        message = json.loads(way.recv())
        if message["msg_type"] == "stream":
            printed += message["content"]["text"]
        if message["msg_type"] == "error":
            printed += message["content"]["evalue"]
        if message["msg_type"] == "execute_reply":
            return printed
