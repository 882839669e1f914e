"""The wire: HTTP (RFC 9110) as a registry is to be asked, whoever it turns out to be.

What holds for every request, whatever a server answers: TLS with the certificate verified, plain
HTTP only on loopback or where the user allows it, never from HTTPS down to HTTP; a redirect to
another origin (RFC 6454) takes no credentials along; waits, redirects, tries and answers have
limits. No cookies, no netrc, no decompression.
"""

from __future__ import annotations

import ipaddress
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Self
from urllib.parse import urljoin

from labrt.errors import LabError

if TYPE_CHECKING:  # it takes 70 ms to import: only where a registry is asked
    import ssl

    from urllib3 import BaseHTTPResponse, PoolManager
    from urllib3.util import Url

CONNECT, READ = 10.0, 60.0  # seconds without an answer
REDIRECTS = 5
TRIES = 4
BACKOFF = 0.5  # seconds before the second try; twice as long before each further one
LONGEST_WAIT = 30.0  # seconds that a Retry-After may ask for
SMALL = 1 << 20  # bytes of an answer that is no blob
_BUSY = {429, 500, 502, 503, 504}
_REDIRECTED = {301, 302, 303, 307, 308}


@dataclass(frozen=True)
class Access:
    """How a registry may be reached.

    Attributes:
        cert_dir: a folder whose *.crt are trusted besides the system's certificates.
        tls_verify: False trusts any certificate.
        plain_http: speak HTTP without TLS to this registry, wherever it is.
    """

    cert_dir: Path | None = None
    tls_verify: bool = True
    plain_http: bool = False


@dataclass(frozen=True)
class Answer:
    """A whole answer; its headers' names may be written in any case."""

    url: str
    status: int
    headers: Mapping[str, str]
    body: bytes


class Broken(LabError):
    """The connection ended half-way: what is missing may be asked for again."""


class Wire:
    """Connections to any number of servers, kept open between requests until its `with` block ends;
    threads may share it."""

    def __init__(self, access: Access) -> None:
        self._access = access
        self._pools: dict[tuple[bool, str], PoolManager] = {}  # by TLS or not, and proxy

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        for pool in list(self._pools.values()):
            pool.clear()

    def ask(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str] | None = None,
        body: bytes | IO[bytes] | None = None,
        limit: int = SMALL,
    ) -> Answer:
        """Return the whole answer to a request.

        Args:
            body: a stream is sent once, and needs a Content-Length; what is no stream may be sent
                again when the server is busy or hangs up.
            limit: the most bytes that the answer may have.

        Raises:
            Broken: the connection ended half-way.
            LabError: no connection, or the answer is too long.
        """
        with self.open(method, url, headers, body) as response:
            return whole(response, limit)

    @contextmanager
    def open(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str] | None = None,
        body: bytes | IO[bytes] | None = None,
    ) -> Iterator[BaseHTTPResponse]:
        """Give an answer whose body is still to be read; what it raises is as with `ask`."""
        tries = TRIES if body is None or isinstance(body, bytes) else 1
        response = _patiently(lambda: self._follow(method, url, dict(headers or {}), body), tries)
        try:
            with _told(f"{method} {shown(url)}"):
                yield response
        finally:
            response.close()

    def _follow(
        self, method: str, url: str, headers: dict[str, str], body: bytes | IO[bytes] | None
    ) -> BaseHTTPResponse:
        """Send a request; for one that changes nothing follow the redirects."""
        for _ in range(REDIRECTS + 1):
            response = self._once(method, url, headers, body)
            if response.status not in _REDIRECTED or method not in ("GET", "HEAD"):
                return response
            response.close()
            following = joined(url, response.headers.get("Location", ""))
            url, headers = following, self._headers_for(url, following, headers)
        raise LabError(f"{method} {shown(url)}", f"more than {REDIRECTS} redirects")

    def _headers_for(self, old: str, new: str, headers: dict[str, str]) -> dict[str, str]:
        if origin(old)[0] == "https" != origin(new)[0]:
            raise LabError(f"follow a redirect from {shown(old)}", "it leads away from HTTPS")
        if origin(old) == origin(new):
            return headers
        return {name: value for name, value in headers.items() if name != "Authorization"}

    def _once(
        self, method: str, url: str, headers: dict[str, str], body: bytes | IO[bytes] | None
    ) -> BaseHTTPResponse:
        self.check(url)
        with _told(f"{method} {shown(url)}"):
            response = self._pool(_parsed(url)).request(
                method,
                url,
                body=body,
                headers={"User-Agent": "labrt", **headers},
                redirect=False,
                preload_content=False,
                decode_content=False,
            )
        response.url = url
        return response

    def _pool(self, url: Url) -> PoolManager:
        key = url.scheme == "https", _proxy(url)
        if key not in self._pools:
            self._pools[key] = self._new_pool(*key)
        return self._pools[key]

    def _new_pool(self, secure: bool, proxy: str) -> PoolManager:
        import urllib3

        options: dict[str, Any] = {
            "ssl_context": _tls(self._access) if secure else None,
            "timeout": urllib3.Timeout(connect=CONNECT, read=READ),
            "retries": False,
            "maxsize": 8,
        }
        if not proxy:
            return urllib3.PoolManager(**options)
        secret = _parsed(proxy).auth
        headers = urllib3.make_headers(proxy_basic_auth=secret) if secret else None
        return urllib3.ProxyManager(proxy, proxy_headers=headers, **options)

    def check(self, url: str) -> None:
        """See whether this URL may be asked at all.

        Raises:
            LabError: another scheme, no host, a password in it, or HTTP over a network.
        """
        parsed = _parsed(url)
        tried = f"ask {shown(url)}"
        if parsed.scheme not in ("http", "https") or not parsed.host or parsed.auth:
            raise LabError(tried, "no HTTP URL that a registry would give")
        if parsed.scheme == "http" and not (self._access.plain_http or is_loopback(parsed.host)):
            raise LabError(tried, "plain HTTP, which anybody on the way could read and change")


def whole(response: BaseHTTPResponse, limit: int = SMALL) -> Answer:
    """Read an answer to its end.

    Raises:
        LabError: it is longer than `limit` bytes.
    """
    url = response.url or ""
    data = b""
    while chunk := response.read(1 << 16):
        data += chunk
        if len(data) > limit:
            raise LabError(f"read the answer of {shown(url)}", f"it is longer than {limit} bytes")
    return Answer(url, response.status, response.headers, data)


def joined(url: str, target: str) -> str:
    """Return the URL that a server means by its header Location.

    Raises:
        LabError: it is none.
    """
    try:
        return urljoin(url, target)
    except ValueError:
        raise LabError(f"go on from {shown(url)}", "where it leads to is no URL") from None


def origin(url: str) -> tuple[str | None, str | None, int]:
    """Return scheme, host and port, which is who a password was meant for (RFC 6454)."""
    parsed = _parsed(url)
    return parsed.scheme, parsed.host, parsed.port or {"http": 80}.get(parsed.scheme or "", 443)


def is_loopback(host: str) -> bool:
    """Whether a host is this machine itself: 127.0.0.0/8, ::1, localhost."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def shown(url: str) -> str:
    """Return what may be shown of a URL: a query or a user in it may be secret."""
    parsed = _parsed(url)
    return printable(f"{parsed.scheme}://{parsed.netloc}{parsed.path or ''}", 300)


def printable(text: str, most: int = 200) -> str:
    """Return a server's text as one harmless line."""
    return re.sub(r"[^\x20-\x7e]+", " ", text)[:most].strip()


def _parsed(url: str) -> Url:
    from urllib3.exceptions import LocationValueError
    from urllib3.util import parse_url

    try:
        return parse_url(url)
    except LocationValueError:
        raise LabError(f"ask {printable(url.partition('?')[0])}", "that is no URL") from None


def _proxy(url: Url) -> str:
    """The proxy that the environment names (HTTPS_PROXY, HTTP_PROXY, NO_PROXY), "" for none."""
    from urllib.request import getproxies_environment, proxy_bypass

    if is_loopback(url.host or "") or proxy_bypass(url.netloc or ""):
        return ""
    return getproxies_environment().get(url.scheme or "", "")


def _patiently(send: Callable[[], BaseHTTPResponse], tries: int) -> BaseHTTPResponse:
    """Send again, a few times, when the server is busy (Retry-After, RFC 9110 §10.2.3) or hangs
    up; give what it answers last."""
    for left, pause in zip(range(tries - 1, -1, -1), _pauses(), strict=False):
        try:
            response = send()
            wanted = _retry_after(response, pause)
            if response.status not in _BUSY or not left or wanted > LONGEST_WAIT:
                return response
            response.close()
        except Broken:
            if not left:
                raise
            wanted = pause
        time.sleep(wanted)
    raise AssertionError("the last try answers or raises")


def _pauses() -> Iterator[float]:
    pause = BACKOFF
    while True:
        yield pause
        pause *= 2


def _retry_after(response: BaseHTTPResponse, otherwise: float) -> float:
    """Seconds; the form with a date isn't used by registries."""
    text = response.headers.get("Retry-After", "")
    return float(text) if re.fullmatch(r"[0-9]{1,9}", text) else otherwise


def _tls(access: Access) -> ssl.SSLContext:
    """The system's certificates (or those of SSL_CERT_FILE), and those of `cert_dir`."""
    import ssl

    context = ssl.create_default_context()
    for file in _certificates(access.cert_dir):
        try:
            context.load_verify_locations(file)
        except ssl.SSLError:
            raise LabError(f"trust {file}", "it holds no certificate in PEM form") from None
    if not access.tls_verify:
        import urllib3

        urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)  # the user knows
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _certificates(folder: Path | None) -> list[Path]:
    if folder is None:
        return []
    if not (files := sorted(folder.glob("*.crt"))):
        raise LabError(f"read the certificates of {folder}", "no file *.crt is there")
    return files


@contextmanager
def _told(tried: str) -> Iterator[None]:
    """Turn the library's errors into ours."""
    import ssl
    from http.client import HTTPException

    from urllib3 import exceptions

    try:
        yield
    except exceptions.NameResolutionError:
        raise LabError(tried, "no host has that name", remedy="check the name, and DNS") from None
    except exceptions.NewConnectionError as error:
        why = getattr(error.__cause__, "strerror", "") or "no connection"
        raise LabError(tried, why.lower(), remedy="check host and port") from None
    except exceptions.LocationValueError as error:
        raise LabError(tried, printable(str(error)), remedy="check the name") from None
    except exceptions.ConnectTimeoutError:
        raise LabError(tried, f"no answer in {CONNECT:g} s", remedy="check host and port") from None
    except exceptions.ProxyError:
        raise LabError(tried, "the proxy doesn't answer", remedy="check HTTPS_PROXY") from None
    except (exceptions.SSLError, ssl.SSLError) as error:
        raise _distrust(tried, error) from None
    except exceptions.ReadTimeoutError:
        raise Broken(tried, f"nothing came for {READ:g} s") from None
    except (exceptions.HTTPError, HTTPException, ConnectionError, TimeoutError) as error:
        why = str(error.args[0] if error.args else error)
        raise Broken(tried, "the connection broke", printable(why)) from None


def _distrust(tried: str, error: Exception) -> LabError:
    import ssl

    cause = error.args[0] if error.args and isinstance(error.args[0], ssl.SSLError) else error
    if isinstance(cause, ssl.SSLCertVerificationError):
        return LabError(
            tried,
            f"its certificate isn't trusted: {cause.verify_message}",
            remedy="--cert-dir DIR with the certificate (*.crt) of who signed it",
        )
    if isinstance(cause, ssl.SSLEOFError | ssl.SSLZeroReturnError):
        return Broken(tried, "the connection broke")
    reason = getattr(cause, "reason", "") or str(cause)
    return LabError(
        tried, f"no TLS: {printable(reason)}", remedy="--plain-http, where the network is trusted"
    )
