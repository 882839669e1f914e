"""labrt/images/wire.py: whatever a server answers, nothing leaks and nothing goes on for ever."""

from __future__ import annotations

import gzip
import os
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from labrt.errors import LabError
from labrt.images import logins, registry, wire
from labrt.images.logins import Login
from labrt.images.wire import Access, Answer, Broken, Wire
from tests.labrt.images import servers
from tests.labrt.images.conftest import image, needs_registry
from tests.labrt.images.servers import Certificates, Handler

pytestmark = pytest.mark.usefixtures("machine", "quickly")
SECRET = {"Authorization": "Basic c2VjcmV0"}


def ask(
    method: str,
    url: str,
    headers: dict[str, str] | None = None,
    access: Access = Access(),  # noqa: B008 - it is frozen
    limit: int = wire.SMALL,
) -> Answer:
    with Wire(access) as connection:
        return connection.ask(method, url, headers, limit=limit)


@pytest.fixture(scope="module")
def trusted(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return servers.certificates(tmp_path_factory.mktemp("trusted"))


@pytest.fixture(scope="module")
def tls_registry(trusted: Certificates, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a real registry that speaks TLS alone."""
    tls = {"certificate": str(trusted.certificate), "key": str(trusted.key)}
    with servers.registry(tmp_path_factory.mktemp("tls"), tls=tls) as address:
        yield address


@needs_registry
class TestTLS:
    def test_a_certificate_of_our_own_is_trusted_where_it_is_named(
        self, tls_registry: str, trusted: Certificates
    ) -> None:
        made = image("app", 1000)
        access = Access(cert_dir=trusted.folder)
        registry.push(made, f"{tls_registry}/app", access)
        assert registry.pull(f"{tls_registry}/app", access).digest == made.digest

    def test_or_in_the_environment(
        self, tls_registry: str, trusted: Certificates, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("SSL_CERT_FILE", str(trusted.certificate))
        registry.push(image("app", 1000), f"{tls_registry}/environment")

    @pytest.mark.parametrize("name", ["127.0.0.1", "localhost"])
    def test_otherwise_it_is_refused_with_the_remedy(self, tls_registry: str, name: str) -> None:
        address = tls_registry.replace("127.0.0.1", name)
        with pytest.raises(LabError, match=r"isn't trusted: self.signed.*--cert-dir DIR"):
            registry.pull(f"{address}/app")

    def test_unless_the_user_trusts_any(self, tls_registry: str) -> None:
        registry.push(image("app", 1000), f"{tls_registry}/any", Access(tls_verify=False))

    def test_one_for_another_name_is_refused(
        self, trusted: Certificates, tls_registry: str
    ) -> None:
        relay = servers.Relay(tls_registry, host="127.0.0.2")
        with relay.running(), pytest.raises(LabError, match="isn't trusted: IP address mismatch"):
            registry.pull(f"{relay.address}/app", Access(cert_dir=trusted.folder))

    def test_never_in_plain_where_tls_fails(self, trusted: Certificates) -> None:
        heard: list[str] = []

        def answer(handler: Handler) -> None:
            heard.append(handler.path)
            handler.reply(200, b"{}")

        with (
            servers.rogue(answer) as address,
            pytest.raises(LabError, match=r"no TLS.*--plain-http"),
        ):
            registry.pull(f"{address}/app", Access(cert_dir=trusted.folder))
        assert heard == []

    def test_a_server_that_hangs_up_on_plain_http_gets_tls(self, trusted: Certificates) -> None:
        with (
            _https(trusted, lambda handler: handler.reply(404, b"{}")) as address,
            pytest.raises(LabError, match="isn't trusted"),
        ):
            registry.pull(f"{address}/app")

    def test_a_folder_without_certificates_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(LabError, match=r"no file \*\.crt is there"):
            ask("GET", "https://127.0.0.1:1/", access=Access(cert_dir=tmp_path))
        (tmp_path / "a.crt").write_text("nothing")
        with pytest.raises(LabError, match="no certificate in PEM form"):
            ask("GET", "https://127.0.0.1:1/", access=Access(cert_dir=tmp_path))


@contextmanager
def _https(with_: Certificates, answer: Callable[[Handler], None]) -> Iterator[str]:
    class Answers(Handler):
        def do_GET(self) -> None:
            answer(self)

    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(with_.certificate, with_.key)
    with servers.Server(("127.0.0.1", 0), Answers) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield f"127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


class TestPlainHTTP:
    @pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "localhost", "[::1]"])
    def test_is_spoken_with_this_machine(self, host: str) -> None:
        Wire(Access()).check(f"http://{host}:5000/v2/")

    @pytest.mark.parametrize(
        "host", ["192.0.2.1", "example.org", "127.0.0.1.example.org", "localhost.example", "[::2]"]
    )
    def test_with_others_only_where_it_is_wanted(self, host: str) -> None:
        with pytest.raises(LabError, match="anybody on the way could read"):
            Wire(Access()).check(f"http://{host}/v2/")
        Wire(Access(plain_http=True)).check(f"http://{host}/v2/")

    @needs_registry
    def test_goes_through_a_proxy_that_the_environment_names(
        self, plain: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with servers.Relay(plain).running() as relay:  # a registry takes a proxy's requests, too
            monkeypatch.setenv("http_proxy", f"http://{relay.address}")
            made = image("app", 1000)
            access = Access(plain_http=True)
            registry.push(made, "no-such-host.invalid/app", access)
            assert relay.up > made.layers[0].size
            monkeypatch.setenv("no_proxy", "no-such-host.invalid")
            with pytest.raises(LabError, match="no host has that name"):
                registry.pull("no-such-host.invalid/app", access)
            before = relay.up
            registry.push(made, f"{plain}/not/proxied")
            assert relay.up == before


class TestRedirects:
    def test_to_another_host_take_no_credentials_along(self) -> None:
        seen: list[str | None] = []

        def hear(handler: Handler) -> None:
            seen.append(handler.headers.get("Authorization"))
            handler.reply(200, b"it")

        with servers.rogue(hear) as other, servers.rogue(_redirect(f"http://{other}/b")) as first:
            answer = ask("GET", f"http://{first}/a", SECRET)
            assert (answer.body, seen) == (b"it", [None])
            assert answer.url == f"http://{other}/b"

    def test_within_a_host_keep_them(self) -> None:
        seen: list[tuple[str, str | None]] = []

        def hear(handler: Handler) -> None:
            seen.append((handler.path, handler.headers.get("Authorization")))
            if handler.path == "/a":
                return handler.reply(302, location="/b?c=d")
            handler.reply(200)

        with servers.rogue(hear) as address:
            ask("GET", f"http://{address}/a", SECRET)
        assert seen == [(path, SECRET["Authorization"]) for path in ("/a", "/b?c=d")]

    def test_there_and_back_do_not_bring_them_back(self) -> None:
        seen: list[str | None] = []
        back: list[str] = []

        def first(handler: Handler) -> None:
            seen.append(handler.headers.get("Authorization"))
            if handler.path == "/a":
                return handler.reply(307, location=back[0])
            handler.reply(200)

        with servers.rogue(first) as one, servers.rogue(_redirect(f"http://{one}/b")) as two:
            back.append(f"http://{two}/")
            ask("GET", f"http://{one}/a", SECRET)
        assert seen == [SECRET["Authorization"], None]

    @pytest.mark.parametrize(
        ("target", "why"),
        [
            ("http://192.0.2.1/", "plain HTTP"),
            ("ftp://example.org/", "no HTTP URL"),
            ("file:///etc/passwd", "no HTTP URL"),
            ("http://me:secret@127.0.0.1/", "no HTTP URL"),
            ("http://[/", "no URL"),
            ("", "more than 5 redirects"),
        ],
    )
    def test_that_lead_astray_are_refused(self, target: str, why: str) -> None:
        with (
            servers.rogue(_redirect(target)) as address,
            pytest.raises(LabError, match=why) as refused,
        ):
            ask("GET", f"http://{address}/a", SECRET)
        assert "secret" not in str(refused.value)
        assert "\n" not in str(refused.value)

    @pytest.mark.parametrize("scheme", ["http", "HTTP"])
    def test_from_https_to_http_are_refused_even_on_this_machine(
        self, trusted: Certificates, scheme: str
    ) -> None:
        heard: list[str] = []

        def hear(handler: Handler) -> None:
            heard.append(handler.path)
            handler.reply(200)

        with (
            servers.rogue(hear) as plain,
            _https(trusted, _redirect(f"{scheme}://{plain}/")) as secure,
            pytest.raises(LabError, match="leads away from HTTPS"),
        ):
            ask("GET", f"https://{secure}/a", access=Access(cert_dir=trusted.folder))
        assert heard == []

    def test_without_end_have_one(self) -> None:
        with (
            servers.rogue(lambda handler: handler.reply(301, location=handler.path + "x")) as it,
            pytest.raises(LabError, match="more than 5 redirects"),
        ):
            ask("GET", f"http://{it}/a")

    def test_are_not_followed_where_something_is_sent(self) -> None:
        with servers.rogue(_redirect("http://127.0.0.1:1/")) as address:
            assert ask("POST", f"http://{address}/a").status == 307


def _redirect(target: str) -> Callable[[Handler], None]:
    return lambda handler: handler.reply(307, location=target)


class TestABusyServer:
    def ask(self, *statuses: int, method: str = "GET", **headers: object) -> tuple[int, int]:
        """Ask one that answers with these in turn; return what came of it, and after how many."""
        left = list(statuses)

        def answer(handler: Handler) -> None:
            status = left.pop(0)
            if not status:
                return handler.break_off()
            handler.reply(status, b"{}", **headers)

        with servers.rogue(answer) as address:
            status = ask(method, f"http://{address}/a").status
        return status, len(statuses) - len(left)

    @pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
    def test_is_asked_again(self, status: int) -> None:
        assert self.ask(status, status, 200) == (200, 3)

    def test_is_asked_again_when_it_hangs_up(self) -> None:
        assert self.ask(0, 0, 200) == (200, 3)

    def test_but_not_for_ever(self) -> None:
        assert self.ask(*[503] * 9) == (503, wire.TRIES)
        with pytest.raises(Broken):
            self.ask(*[0] * 9)

    def test_says_for_how_long_to_wait(self, monkeypatch: pytest.MonkeyPatch) -> None:
        waits: list[float] = []
        monkeypatch.setattr(wire.time, "sleep", waits.append)
        assert self.ask(429, 503, 200, retry_after=7) == (200, 3)
        assert waits == [7.0, 7.0]

    def test_that_wants_too_long_a_wait_is_left(self) -> None:
        assert self.ask(429, 200, retry_after=3600) == (429, 1)

    @pytest.mark.parametrize("text", ["soon", "-1", "1e9", "Wed, 21 Oct 2015 07:28:00 GMT"])
    def test_whose_wait_is_no_number_is_asked_soon(self, text: str) -> None:
        assert self.ask(503, 200, retry_after=text) == (200, 2)

    @pytest.mark.parametrize("status", [400, 401, 403, 404])
    def test_what_is_refused_is_not_asked_again(self, status: int) -> None:
        assert self.ask(status, 200) == (status, 1)


class TestAnAnswer:
    def test_that_is_too_long_is_refused(self) -> None:
        with (
            servers.rogue(lambda handler: handler.reply(200, b"x" * 101)) as address,
            pytest.raises(LabError, match="longer than 100 bytes"),
        ):
            ask("GET", f"http://{address}/a", limit=100)

    def test_that_ends_before_it_should_is_broken(self) -> None:
        def answer(handler: Handler) -> None:
            handler.reply(200, b"short", content_length=100)
            handler.break_off()

        with servers.rogue(answer) as address, pytest.raises(Broken, match="the connection broke"):
            ask("GET", f"http://{address}/a")

    def test_that_is_no_http_is_broken(self) -> None:
        def answer(handler: Handler) -> None:
            handler.wfile.write(b"SSH-2.0-OpenSSH\r\n")
            handler.break_off()

        with servers.rogue(answer) as address, pytest.raises(Broken, match="the connection broke"):
            ask("GET", f"http://{address}/a")

    def test_is_never_unpacked(self) -> None:
        packed = gzip.compress(b"0" * 100_000)
        with servers.rogue(
            lambda handler: handler.reply(200, packed, content_encoding="gzip")
        ) as address:
            assert ask("GET", f"http://{address}/a").body == packed


class TestWhatIsNoRegistry:
    @pytest.mark.parametrize(
        "reply",
        [
            {"status": 404, "body": b"<html>nothing"},
            {"status": 200, "body": b"<html>welcome", "content_type": "text/html; charset=utf-8"},
            {"status": 302, "location": "/welcome"},
            {"status": 403, "body": b"go away"},
        ],
        ids=lambda reply: str(reply["status"]),
    )
    def test_is_told_so(self, reply: dict[str, object]) -> None:
        class Answers(Handler):
            def do_GET(self) -> None:
                if self.path == "/welcome":
                    return self.reply(200, b"<html>")
                self.reply(**reply)  # type: ignore[arg-type]

        with (
            servers.serving(Answers) as server,
            pytest.raises(LabError, match="no registry answers like this.*check host and port"),
        ):
            registry.pull(f"127.0.0.1:{server.server_port}/app")


def test_what_a_server_says_cannot_command_the_terminal() -> None:
    said = b'{"errors": [{"code": "DENIED", "message": "\\u001b[2J\\u001b]0;x\\u0007no\\nway"}]}'
    with (
        servers.rogue(lambda handler: handler.reply(403, said)) as address,
        pytest.raises(LabError, match=r"403 Forbidden \(\[2J \]0;x no way\)") as refused,
    ):
        registry.pull(f"{address}/app")
    assert str(refused.value).isprintable()


def test_credentials_are_in_no_message_and_no_log(
    caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(0)
    with servers.rogue(lambda handler: handler.reply(401, b"{}", www_authenticate="Basic")) as it:
        logins.store(it, Login("me", "pass word"))
        with pytest.raises(LabError) as refused:
            registry.pull(f"{it}/app?")
    told = f"{caplog.text}{capfd.readouterr()}{refused.value!r}"
    assert Login("me", "pass word").basic not in told
    assert "pass word" not in told


def test_the_commands_that_ask_no_registry_load_no_http() -> None:
    code = (
        "import sys; from labrt.commands import run, image, pull, push\n"
        "loaded = {'urllib3', 'ssl', 'http.client'} & set(sys.modules)\n"
        "assert not loaded, loaded"
    )
    root = Path(__file__).parents[3]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment, timeout=30)
