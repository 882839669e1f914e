"""labrt/images/uploads.py: a blob that is sent in pieces, or refused."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from urllib.parse import parse_qs, urlsplit

import pytest

from labrt.errors import LabError
from labrt.images import registry, store, uploads
from labrt.images.logins import Login
from labrt.images.registry_api import connected
from labrt.images.store import Descriptor
from labrt.images.transfer import Progress
from labrt.images.wire import TRIES, Access
from tests.labrt.images import servers
from tests.labrt.images.conftest import image, needs_registry
from tests.labrt.images.servers import Handler, Relay

pytestmark = pytest.mark.usefixtures("machine", "quickly")


class Registry:
    """What the specification says of uploads, and no more; it keeps what has come when a
    connection breaks, which Debian's registry doesn't. It breaks after each of `cuts` bytes."""

    def __init__(self, *cuts: int, keeps: bool = True) -> None:
        self.cuts = list(cuts)
        self.keeps = keeps
        self.received = b""
        self.blobs: dict[str, bytes] = {}
        self.asked: list[str] = []
        self.read = 0
        self.lose_answers = 0

    def __call__(self, handler: Handler) -> None:
        self.asked.append(handler.command)
        getattr(self, handler.command)(handler)

    def HEAD(self, handler: Handler) -> None:
        handler.reply(200 if handler.path.rpartition("/")[2] in self.blobs else 404)

    def POST(self, handler: Handler) -> None:
        self.received = b""
        handler.reply(202, location="/v2/app/blobs/uploads/1?part=a")

    def PATCH(self, handler: Handler) -> None:
        length = int(handler.headers["Content-Length"])
        begin = len(self.received)
        expected = f"{begin}-{begin + length - 1}"
        assert handler.headers["Content-Range"] == expected
        wanted = self.cuts.pop(0) if self.cuts else length
        data = handler.rfile.read(min(wanted, length))
        self.read += len(data)
        if self.keeps or len(data) == length:
            self.received += data
        if len(data) < length:
            return handler.break_off()
        handler.reply(202, location="/v2/app/blobs/uploads/1?part=b", range=f"0-{len(data) - 1}")

    def GET(self, handler: Handler) -> None:
        if not self.keeps:
            return handler.reply(404)
        told = max(len(self.received) - 1, 0)
        handler.reply(204, location="/v2/app/blobs/uploads/1?part=c", range=f"0-{told}")

    def PUT(self, handler: Handler) -> None:
        (digest,) = parse_qs(urlsplit(handler.path).query)["digest"]
        found = f"sha256:{hashlib.sha256(self.received).hexdigest()}"
        if found != digest:
            return handler.reply(400, b'{"errors": [{"code": "DIGEST_INVALID"}]}')
        self.blobs[digest] = self.received
        if self.lose_answers:
            self.lose_answers -= 1
            self.received = b""
            return handler.break_off()
        handler.reply(201)


@pytest.fixture
def blob() -> Descriptor:
    return image("app", 1_000_000).layers[0]


def upload(there: Callable[[Handler], None], blob: Descriptor) -> str:
    with servers.rogue(there) as address, connected(address, Access(), None) as connection:
        return uploads.send(connection, "app", blob, "", Progress())


class TestABrokenConnection:
    def test_is_gone_on_with_where_the_registry_says(self, blob: Descriptor) -> None:
        there = Registry(300_000, 500_000)
        assert upload(there, blob) == uploads.SENT
        assert there.blobs == {blob.digest: store.get(blob.digest)}
        assert there.read == blob.size

    def test_is_begun_again_where_the_registry_has_given_up(self, blob: Descriptor) -> None:
        there = Registry(300_000, keeps=False)
        upload(there, blob)
        assert there.blobs == {blob.digest: store.get(blob.digest)}
        assert there.read == blob.size + 300_000

    @pytest.mark.parametrize("length", [0, 1])
    def test_after_next_to_nothing_is_begun_again(self, blob: Descriptor, length: int) -> None:
        there = Registry(length)
        upload(there, blob)
        assert there.blobs == {blob.digest: store.get(blob.digest)}

    def test_that_breaks_for_ever_is_told(self, blob: Descriptor) -> None:
        there = Registry(*[10] * 99)
        with pytest.raises(LabError, match="the connection broke.*Remedy: push again"):
            upload(there, blob)
        assert there.asked.count("PATCH") == TRIES

    def test_whose_last_answer_is_lost_has_done_its_work(self, blob: Descriptor) -> None:
        there = Registry()
        there.lose_answers = 1
        original = there.PUT

        def put_once(handler: Handler) -> None:
            if blob.digest in there.blobs:
                return handler.reply(404)
            original(handler)

        there.PUT = put_once  # type: ignore[method-assign]
        assert upload(there, blob) == uploads.SENT
        assert there.blobs == {blob.digest: store.get(blob.digest)}
        assert there.read == blob.size

    @needs_registry
    def test_to_a_real_registry_ends_well(self, plain: str) -> None:
        made = image("app", 2_000_000)
        with Relay(plain, up_cuts=[900_000, 500_000]).running() as relay:
            registry.push(made, f"{relay.address}/broken-upload")
            assert relay.up_cuts == []
        assert registry.push(made, f"{plain}/broken-upload").skipped > 2_000_000


def test_a_token_that_ends_on_the_way_is_got_anew(blob: Descriptor) -> None:
    there = Registry()
    tokens = ["new", "old"]
    refused: list[str] = []

    class Guarded(Handler):
        def do_GET(self) -> None:
            given = self.headers.get("Authorization", "")
            if self.path.startswith("/token"):
                return self.reply(200, json.dumps({"token": tokens.pop()}).encode())
            if not given or (self.command == "PATCH" and given == "Bearer old"):
                refused.append(self.command)
                self.rfile.read(int(self.headers.get("Content-Length", 0)))
                realm = f"http://{self.headers['Host']}/token"
                return self.reply(401, b"{}", www_authenticate=f'Bearer realm="{realm}"')
            there(self)

        do_HEAD = do_POST = do_PUT = do_PATCH = do_GET

    with servers.serving(Guarded) as server:
        address = f"127.0.0.1:{server.server_port}"
        with connected(address, Access(), None) as connection:
            uploads.send(connection, "app", blob, "", Progress())
    assert refused == ["GET", "PATCH"]
    assert there.blobs == {blob.digest: store.get(blob.digest)}


class TestARegistryThatLies:
    @pytest.mark.parametrize("told", ["0-99999999999", "5-10", "x", "", "0-", "0-1e9"])
    def test_about_what_it_has_is_sent_all(self, blob: Descriptor, told: str) -> None:
        class Liar(Registry):
            def GET(self, handler: Handler) -> None:
                handler.reply(204, location="/v2/app/blobs/uploads/1", range=told)

        there = Liar(1000)
        upload(there, blob)
        assert there.blobs == {blob.digest: store.get(blob.digest)}

    @pytest.mark.parametrize(
        ("location", "why"),
        [
            ("http://192.0.2.1/upload", "plain HTTP"),
            ("file:///etc/passwd", "no HTTP URL"),
            ("http://[", "no URL"),
        ],
    )
    def test_about_where_to_send_gets_nothing(
        self, blob: Descriptor, location: str, why: str
    ) -> None:
        class Liar(Registry):
            def POST(self, handler: Handler) -> None:
                handler.reply(202, location=location)

        with pytest.raises(LabError, match=why):
            upload(Liar(), blob)

    def test_and_calls_the_image_something_else_is_told(self) -> None:
        there = Registry()

        def answer(handler: Handler) -> None:
            if "/manifests/" in handler.path:
                handler.rfile.read(int(handler.headers["Content-Length"]))
                return handler.reply(201, docker_content_digest=f"sha256:{'0' * 64}")
            there(handler)

        with servers.rogue(answer) as address, pytest.raises(LabError, match="calls it sha256:000"):
            registry.push(image("app"), f"{address}/app")


@pytest.mark.parametrize(
    ("status", "why"),
    [(400, "400"), (401, "labrt login"), (403, "labrt login"), (413, "413"), (503, "503")],
)
def test_a_refusal_is_told(blob: Descriptor, status: int, why: str) -> None:
    class Refuses(Registry):
        def PATCH(self, handler: Handler) -> None:
            handler.rfile.read(int(handler.headers["Content-Length"]))
            handler.reply(status, b"{}", www_authenticate="Basic")

    with pytest.raises(LabError, match=why):
        upload(Refuses(), blob)


def test_a_blob_with_another_host_s_upload_gets_no_login_sent_there(blob: Descriptor) -> None:
    """A registry may let blobs be sent to another host; that one needn't know who we are."""
    heard: list[str | None] = []
    there = Registry()

    def elsewhere(handler: Handler) -> None:
        heard.append(handler.headers.get("Authorization"))
        there(handler)

    with servers.rogue(elsewhere) as other:

        class Sends(Handler):
            def do_GET(self) -> None:
                if not self.headers.get("Authorization"):
                    return self.reply(401, b"{}", www_authenticate="Basic")
                if self.command == "POST":
                    return self.reply(202, location=f"http://{other}/v2/app/blobs/uploads/1")
                self.reply(200 if self.path == "/v2/" else 404)

            do_HEAD = do_POST = do_GET

        with servers.serving(Sends) as server:
            address = f"127.0.0.1:{server.server_port}"
            with connected(address, Access(), Login("me", "secret")) as connection:
                uploads.send(connection, "app", blob, "", Progress())
    assert there.blobs == {blob.digest: store.get(blob.digest)}
    assert heard and set(heard) == {None}
