"""Authentication: how a registry is told who asks (HTTP's challenge and answer, RFC 9110 §11).

`Basic` (RFC 7617) is the login itself, with every request. `Bearer` is a token, got from the server
that the challenge names (its realm) with the login or with none, for certain scopes ("repository:
team/app:pull") and some minutes (https://distribution.github.io/distribution/spec/auth/token/).
"""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlencode

from labrt.errors import LabError
from labrt.images import wire
from labrt.images.logins import Login
from labrt.images.wire import Answer, Wire

_LIFETIME = 60.0  # seconds, of a token that doesn't say
_EARLY = 5.0  # seconds before its end that a token is no longer used


@dataclass(frozen=True)
class Challenge:
    """What a registry asks for: `scheme` is "basic" or "bearer"."""

    scheme: str
    parameters: Mapping[str, str]


@dataclass(frozen=True)
class _Token:
    header: str
    until: float  # of the monotonic clock


class Authority:
    """Who we are to one registry: it answers challenges and keeps tokens until they end. Threads
    may share it.

    Args:
        registry: its name, as people log in to it.
        url: of it, which says how private its token server must be.
    """

    def __init__(self, connection: Wire, registry: str, url: str, login: Login | None) -> None:
        self._wire = connection
        self._registry = registry
        self._url = url
        self._login = login
        self._challenge: Challenge | None = None
        self._tokens: dict[frozenset[str], _Token] = {}
        self._lock = threading.Lock()

    def challenged(self, answer: Answer, scopes: frozenset[str]) -> None:
        """Take in an answer of status 401: what was sent with the request is worth nothing.

        Raises:
            LabError: it asks for something unknown.
        """
        with self._lock:
            self._challenge = parse(answer.headers.get("WWW-Authenticate", ""))
            self._tokens.pop(scopes, None)

    def header(self, scopes: frozenset[str]) -> dict[str, str]:
        """Return the header Authorization for a request, or none.

        Raises:
            LabError: a login is asked for and there is none, or the token server refuses.
        """
        with self._lock:
            if self._challenge is None:
                return {}
            if self._challenge.scheme == "basic":
                return {"Authorization": f"Basic {self._known_login().basic}"}
            token = self._tokens.get(scopes)
            if token is None or token.until < time.monotonic():
                token = self._tokens[scopes] = self._fetch(self._challenge.parameters, scopes)
            return {"Authorization": token.header}

    def _known_login(self) -> Login:
        if self._login is None:
            raise self._refused("it wants a name and a password")
        return self._login

    def _refused(self, answer: str) -> LabError:
        remedy = f"labrt login {self._registry}"
        return LabError(f"ask the registry {self._registry}", answer, remedy=remedy)

    def _fetch(self, parameters: Mapping[str, str], scopes: frozenset[str]) -> _Token:
        realm = parameters.get("realm", "")
        self._require_private(realm)
        asked = [("scope", scope) for scope in sorted(scopes)]
        if service := parameters.get("service"):
            asked.insert(0, ("service", service))
        headers = {}
        if self._login:
            asked.insert(0, ("account", self._login.user))
            headers["Authorization"] = f"Basic {self._login.basic}"
        mark = "&" if "?" in realm else "?"
        answer = self._wire.ask("GET", f"{realm}{mark}{urlencode(asked)}", headers)
        if answer.status != 200:
            told = f"its token server {wire.shown(realm)} answers {answer.status}"
            raise self._refused(told)
        return _token(answer)

    def _require_private(self, realm: str) -> None:
        """A login goes to a token server as safely as to the registry itself, or not at all."""
        self._wire.check(realm)
        realm_scheme, realm_host, _ = wire.origin(realm)
        scheme, host, _ = wire.origin(self._url)
        near = realm_host == host or wire.is_loopback(realm_host or "")
        if realm_scheme == "http" and (scheme == "https" or not near):
            raise LabError(
                f"get a token from {wire.shown(realm)}", "a login isn't sent there over plain HTTP"
            )


def parse(header: str) -> Challenge:
    """Read a header WWW-Authenticate; of several challenges the first that is known.

    Raises:
        LabError: none is known.
    """
    from urllib.request import parse_http_list, parse_keqv_list  # only now: they load HTTP and TLS

    challenges: list[tuple[str, list[str]]] = []
    for item in parse_http_list(header):
        begins = re.match(r"([A-Za-z0-9-]+)(?: +|$)(.*)", item, re.DOTALL)
        if begins and not item[begins.end(1) :].lstrip().startswith("="):
            challenges.append((begins[1].lower(), []))
            item = begins[2]
        if challenges and "=" in item:
            challenges[-1][1].append(item)
    for scheme, items in challenges:
        if scheme in ("basic", "bearer"):
            named = parse_keqv_list(items)
            return Challenge(scheme, {name.lower(): value for name, value in named.items()})
    told = wire.printable(header) or "nothing"
    raise LabError("log in", f"neither Basic nor Bearer is asked for, but {told}")


def _token(answer: Answer) -> _Token:
    try:
        told = json.loads(answer.body)
        token = told.get("token") or told["access_token"]
        lifetime = float(told.get("expires_in") or _LIFETIME)
        if not re.fullmatch(r"[\x21-\x7e]+", token):
            raise ValueError("no token")
    except (ValueError, KeyError, TypeError, AttributeError):
        raise LabError(f"get a token from {wire.shown(answer.url)}", "it answers none") from None
    return _Token(f"Bearer {token}", time.monotonic() + lifetime - _EARLY)
