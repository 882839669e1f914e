"""The registry's side: what the OCI distribution specification lets one ask, with who we are
(https://github.com/opencontainers/distribution-spec/blob/main/spec.md).

    GET /v2/                             is it a registry, and does it want a login?
    GET, PUT /v2/NAME/manifests/VERSION  a tag or a digest
    GET, HEAD /v2/NAME/blobs/DIGEST
    POST /v2/NAME/blobs/uploads/         …and where its Location leads (images/uploads.py)
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING

from labrt.errors import LabError
from labrt.images import wire
from labrt.images.logins import Login
from labrt.images.references import HUB
from labrt.images.registry_auth import Authority
from labrt.images.wire import SMALL, Access, Answer, Broken, Wire

if TYPE_CHECKING:
    from urllib3 import BaseHTTPResponse

Scopes = frozenset[str]
_HOSTS = {HUB: f"registry-1.{HUB}"}  # where its interface is
NO_SCOPE: Scopes = frozenset()


def pulling(*repositories: str) -> Scopes:
    """What a token must allow to read from repositories."""
    return frozenset(f"repository:{each}:pull" for each in repositories)


def pushing(repository: str) -> Scopes:
    return frozenset({f"repository:{repository}:pull,push"})


@contextmanager
def connected(registry: str, access: Access, login: Login | None) -> Iterator[Registry]:
    """Give a registry to be asked; what it raises is as with `Registry`."""
    with Wire(access) as connection:
        yield Registry(connection, registry, access, login)


class Registry:
    """One registry, found and greeted. Threads may share it.

    Attributes:
        registry: its name in references, "host:port".
        wants_login: whether it didn't greet just anybody.

    Raises:
        LabError: nobody there, or no registry.
    """

    def __init__(
        self, connection: Wire, registry: str, access: Access, login: Login | None
    ) -> None:
        self.registry = registry
        self._wire = connection
        greeting = self._greet(_HOSTS.get(registry, registry), access)
        self._url = greeting.url.removesuffix("/v2/")
        self._authority = Authority(self._wire, registry, self._url, login)
        self.wants_login = greeting.status == 401
        if self.wants_login:
            self._authority.challenged(greeting, NO_SCOPE)

    def _greet(self, host: str, access: Access) -> Answer:
        """Over TLS; in plain where the user says so, or on loopback if nothing speaks for TLS."""
        plain, secure = f"http://{host}/v2/", f"https://{host}/v2/"
        if access.plain_http:
            return self._greeting(plain, self._wire.ask("GET", plain))
        is_near = wire.is_loopback(wire.origin(plain)[1] or "")
        if is_near and access.cert_dir is None and (answer := self._plain_answer(plain)):
            return self._greeting(plain, answer)
        return self._greeting(secure, self._wire.ask("GET", secure))

    def _plain_answer(self, url: str) -> Answer | None:
        """What a server says to plain HTTP; None where it wants TLS: then it says 400, or hangs
        up."""
        try:
            answer = self._wire.ask("GET", url)
        except Broken:
            return None
        return None if answer.status == 400 else answer

    def _greeting(self, url: str, answer: Answer) -> Answer:
        is_page = "html" in answer.headers.get("Content-Type", "")
        if is_page or answer.url != url or answer.status in (400, 403, 404):
            raise LabError(
                f"GET {wire.shown(url)}",
                f"{_status(answer)}: no registry answers like this",
                remedy="check host and port",
            )
        return self.require(answer, 200, 401)

    def greet_again(self) -> None:
        """See whether the login holds.

        Raises:
            LabError: it doesn't.
        """
        self.require(self.ask("GET", "/v2/", NO_SCOPE), 200)

    def ask(
        self,
        method: str,
        target: str,
        scopes: Scopes,
        headers: Mapping[str, str] | None = None,
        body: bytes | IO[bytes] | None = None,
        limit: int = SMALL,
    ) -> Answer:
        """Return a whole answer; what it raises is as with `Wire.ask`.

        Args:
            target: a path of this registry, or a URL that it gave.
        """
        with self.open(method, target, scopes, headers, body) as response:
            return wire.whole(response, limit)

    @contextmanager
    def open(
        self,
        method: str,
        target: str,
        scopes: Scopes,
        headers: Mapping[str, str] | None = None,
        body: bytes | IO[bytes] | None = None,
    ) -> Iterator[BaseHTTPResponse]:
        """Give an answer whose body is still to be read. Where a token has ended, a new one is got,
        once; a stream has then been read in vain, and the answer is `Broken`."""
        url = target if "://" in target else self._url + target
        for last in (False, True):
            sent = {**(headers or {}), **self._who_we_are(url, scopes)}
            with self._wire.open(method, url, sent, body) as response:
                if last or response.status != 401 or not self._is_ours(response.url or url):
                    yield response
                    return
                self._authority.challenged(wire.whole(response), scopes)
            if not (body is None or isinstance(body, bytes)):
                raise Broken(f"{method} {wire.shown(url)}", "it asks anew who we are")

    def _who_we_are(self, url: str, scopes: Scopes) -> dict[str, str]:
        return self._authority.header(scopes) if self._is_ours(url) else {}

    def _is_ours(self, url: str) -> bool:
        return wire.origin(url) == wire.origin(self._url)

    def require(self, answer: Answer, *statuses: int) -> Answer:
        """Return the answer if it is one of those hoped for.

        Raises:
            LabError: it isn't; what the registry says, and what to do about it.
        """
        if answer.status in statuses:
            return answer
        raise LabError(
            f"ask {wire.shown(answer.url)}", _status(answer), _told(answer), self._remedy(answer)
        )

    def _remedy(self, answer: Answer) -> str:
        if answer.status in (401, 403):
            return f"labrt login {self.registry}, as somebody who may"
        if answer.status == 404:
            return "check the name and the tag"
        if wait := answer.headers.get("Retry-After"):
            return f"wait {wire.printable(wait, 40)} seconds"
        return ""


def _status(answer: Answer) -> str:
    from http.client import responses

    return f"{answer.status} {responses.get(answer.status, '')}".strip()


def _told(answer: Answer) -> str:
    """The registry's own words (errors are JSON: distribution-spec, "Error Codes")."""
    try:
        error = json.loads(answer.body)["errors"][0]
        return wire.printable(str(error.get("message") or error.get("code")))
    except (ValueError, LookupError, TypeError, AttributeError):
        return ""
