"""Logins: which name and password a registry gets.

Those of `labrt login` lie in LAB_HOME/logins.json, readable by nobody else; those of other tools
are read where they lie ($REGISTRY_AUTH_FILE, Docker's config.json). All have the same form
(https://github.com/docker/cli/blob/master/docs/reference/commandline/docker_login.md):

    {"auths": {"registry.example:5000": {"auth": base64("name:password")}}}

Entries that need a helper program have no `auth`, and are passed over.
"""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from labrt import paths
from labrt.errors import LabError
from labrt.images.references import HUB


@dataclass(frozen=True)
class Login:
    """A name and its password, which no message may show."""

    user: str
    password: str = field(repr=False)

    @property
    def basic(self) -> str:
        """As the header Authorization has it (RFC 7617)."""
        return base64.b64encode(f"{self.user}:{self.password}".encode()).decode()


def find(registry: str) -> Login | None:
    """Return the login for a registry, the lab's own first, or None.

    Raises:
        LabError: a file of logins can't be read.
    """
    for file in _files():
        for key, entry in _read(file).items():
            if _host(key) == registry and (login := _decoded(entry)):
                return login
    return None


def store(registry: str, login: Login) -> None:
    """Keep a login, in the place of an earlier one."""
    with _changed() as auths:
        auths[registry] = {"auth": login.basic}


def remove(registry: str) -> None:
    """Forget the lab's login for a registry.

    Raises:
        LabError: there is none.
    """
    with _changed() as auths:
        if auths.pop(registry, None) is None:
            raise LabError(f"log out of {registry}", f"no login for it in {_own()}")


def _own() -> Path:
    return paths.home() / "logins.json"


def _files() -> list[Path]:
    docker = os.environ.get("DOCKER_CONFIG") or os.path.expanduser("~/.docker")
    named = os.environ.get("REGISTRY_AUTH_FILE")
    return [_own(), *([Path(named)] if named else []), Path(docker) / "config.json"]


def _read(file: Path) -> dict[str, Any]:
    try:
        auths = json.loads(file.read_bytes()).get("auths", {})
    except FileNotFoundError:
        return {}
    except (ValueError, AttributeError):
        auths = None
    if not isinstance(auths, dict):
        raise LabError(f"read the logins in {file}", "it isn't of the form of Docker's config.json")
    return auths


def _host(key: str) -> str:
    """Docker's keys may be URLs, and the Hub's is one of its old ones."""
    host = key.removeprefix("https://").removeprefix("http://").partition("/")[0]
    return HUB if host in (f"index.{HUB}", f"registry-1.{HUB}") else host


def _decoded(entry: Any) -> Login | None:
    try:
        user, _, password = base64.b64decode(entry["auth"]).decode().partition(":")
    except (KeyError, TypeError, ValueError):
        return None
    return Login(user, password) if user else None


@contextmanager
def _changed() -> Iterator[dict[str, Any]]:
    """Give the lab's logins to be changed."""
    file = _own()
    paths.make(file.parent)
    with paths.locked(file.with_suffix(".lock")):
        auths = _read(file)
        yield auths
        paths.write_whole(file, json.dumps({"auths": auths}, indent=2).encode(), 0o600)
