"""Servers for the tests: a real registry in its several forms, and what it never would do itself.

`registry` is Debian's docker-registry on a free port of loopback. `TokenServer` gives the tokens
that it trusts. `Relay` stands before it and breaks connections. `Rogue` answers as a test tells it.
"""

from __future__ import annotations

import base64
import json
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from bench import local_registry

USER, PASSWORD = "student", "open sesame"


registry = local_registry.serving


def htpasswd(folder: Path) -> dict[str, object]:
    """A registry's `auth`: one user, by bcrypt."""
    file = folder / "htpasswd"
    subprocess.run(
        ["htpasswd", "-Bbc", "-C", "5", file, USER, PASSWORD], check=True, capture_output=True
    )
    return {"htpasswd": {"realm": "tests", "path": str(file)}}


@dataclass(frozen=True)
class Certificates:
    """A certificate for 127.0.0.1 and localhost that signs itself, and its key."""

    folder: Path

    @property
    def certificate(self) -> Path:
        return self.folder / "ca.crt"

    @property
    def key(self) -> Path:
        return self.folder / "key.pem"


def certificates(folder: Path) -> Certificates:
    made = Certificates(folder)
    folder.mkdir(exist_ok=True)
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
        + ["-subj", "/CN=tests", "-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost"]
        + ["-keyout", made.key, "-out", made.certificate],
        check=True,
        capture_output=True,
    )
    return made


class Handler(BaseHTTPRequestHandler):
    """One that keeps quiet, and keeps connections."""

    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *arguments: object) -> None:
        pass

    def reply(self, status: int, body: bytes = b"", **headers: object) -> None:
        """Answer; `content_length` in the headers takes the place of the true one."""
        self.send_response(status)
        named = {"Content-Length": len(body)} | {
            name.replace("_", "-").title(): value for name, value in headers.items()
        }
        for name, value in named.items():
            self.send_header(name, str(value))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def break_off(self) -> None:
        """End the connection, as a crash would."""
        self.close_connection = True
        self.wfile.flush()
        self.connection.shutdown(socket.SHUT_RDWR)


class Server(ThreadingHTTPServer):
    """One that doesn't tell of clients that hang up: it is what the tests are about."""

    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        pass


@contextmanager
def serving(handler: type[BaseHTTPRequestHandler]) -> Iterator[ThreadingHTTPServer]:
    server = Server(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@dataclass
class TokenServer:
    """Gives tokens (JWT, RFC 7519) to whom it knows, and to anybody what is for reading."""

    signer: Certificates
    expires_in: int = 300
    asked: list[dict[str, list[str]]] = field(default_factory=list)
    url: str = ""

    def auth(self) -> dict[str, object]:
        """A registry's `auth` that trusts this one."""
        return {
            "token": {
                "realm": self.url,
                "service": "tests",
                "issuer": "tests",
                "rootcertbundle": str(self.signer.certificate),
            }
        }

    @contextmanager
    def running(self) -> Iterator[TokenServer]:
        this = self

        class Answers(Handler):
            def do_GET(self) -> None:
                query = parse_qs(urlsplit(self.path).query)
                this.asked.append(query)
                given = self.headers.get("Authorization", "")
                if given and given != basic():
                    return self.reply(401, b"{}")
                access = list(map(_granted(bool(given)), query.get("scope", [])))
                token = {"token": this._sign(access), "expires_in": this.expires_in}
                self.reply(200, json.dumps(token).encode())

        with serving(Answers) as server:
            self.url = f"http://127.0.0.1:{server.server_port}/token"
            yield self

    def _sign(self, access: list[dict[str, object]]) -> str:
        pem = self.signer.certificate.read_text()
        der = "".join(pem.split("-----")[2].split())
        now = int(time.time())
        claims = {"iss": "tests", "sub": USER, "aud": "tests", "access": access}
        times = {"exp": now + 300, "nbf": now - 10, "iat": now, "jti": str(time.time_ns())}
        head = {"typ": "JWT", "alg": "RS256", "x5c": [der]}
        signed = ".".join(_base64(json.dumps(part).encode()) for part in (head, claims | times))
        signature = subprocess.run(
            ["openssl", "dgst", "-sha256", "-sign", self.signer.key],
            input=signed.encode(),
            check=True,
            capture_output=True,
        )
        return f"{signed}.{_base64(signature.stdout)}"


def basic() -> str:
    return f"Basic {base64.b64encode(f'{USER}:{PASSWORD}'.encode()).decode()}"


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _granted(known: bool) -> Callable[[str], dict[str, object]]:
    def grant(scope: str) -> dict[str, object]:
        kind, name, actions = scope.split(":")
        allowed = [each for each in actions.split(",") if known or each == "pull"]
        return {"type": kind, "name": name, "actions": allowed}

    return grant


@dataclass
class Relay:
    """Passes bytes between clients and a server on loopback, and counts them.

    Attributes:
        cuts: after how many bytes upwards or downwards each next connection is cut; when the list
            is empty, none is.
    """

    server: str
    host: str = "127.0.0.1"
    up_cuts: list[int] = field(default_factory=list)
    down_cuts: list[int] = field(default_factory=list)
    up: int = 0
    down: int = 0
    address: str = ""

    @contextmanager
    def running(self) -> Iterator[Relay]:
        with socket.create_server((self.host, 0)) as listener:
            self.address = f"{self.host}:{listener.getsockname()[1]}"
            thread = threading.Thread(target=self._accept, args=(listener,), daemon=True)
            thread.start()
            yield self
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=self._join, args=(client,), daemon=True).start()

    def _join(self, client: socket.socket) -> None:
        host, _, port = self.server.partition(":")
        with client, socket.create_connection((host, int(port))) as server:
            upwards = threading.Thread(target=self._pass, args=(client, server, "up"))
            upwards.start()
            self._pass(server, client, "down")
            upwards.join()

    def _pass(self, source: socket.socket, target: socket.socket, way: str) -> None:
        """Pass on one direction; a cut ends both, and comes only where much is passed."""
        passed = 0
        cuts: list[int] = getattr(self, f"{way}_cuts")
        try:
            while data := source.recv(4096):
                passed += len(data)
                setattr(self, way, getattr(self, way) + len(data))
                target.sendall(data)
                if cuts and passed >= cuts[0]:
                    cuts.pop(0)
                    break
            else:
                return target.shutdown(socket.SHUT_WR)
        except OSError:
            pass
        for each in (source, target):
            try:
                each.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass


@contextmanager
def rogue(answer: Callable[[Handler], None]) -> Iterator[str]:
    """Run a server that greets as a registry does and else answers as told; give its address."""

    class Answers(Handler):
        def do_GET(self) -> None:
            if self.path == "/v2/":
                return self.reply(200, b"{}")
            answer(self)

        do_HEAD = do_POST = do_PUT = do_PATCH = do_GET

    with serving(Answers) as server:
        yield f"127.0.0.1:{server.server_port}"
