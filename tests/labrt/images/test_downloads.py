"""labrt/images/downloads.py: a blob that comes in pieces, or wrong, or not at all."""

from __future__ import annotations

import hashlib
import random
import re
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from labrt.errors import LabError
from labrt.images import registry, store
from labrt.images.downloads import fetch
from labrt.images.registry_api import connected
from labrt.images.store import LAYER_GZIP, Descriptor
from labrt.images.transfer import Progress
from labrt.images.wire import Access
from tests.labrt.images import servers
from tests.labrt.images.conftest import image, needs_registry
from tests.labrt.images.servers import Handler, Relay
from tests.labrt.test_cli import command, environment

pytestmark = pytest.mark.usefixtures("machine", "quickly")
Machine = Callable[[str], None]
DATA = random.Random(0).randbytes(700_000)
BLOB = Descriptor(LAYER_GZIP, f"sha256:{hashlib.sha256(DATA).hexdigest()}", len(DATA))


def partial(blob: Descriptor = BLOB) -> Path:
    return store.folder() / "partial" / blob.digest.removeprefix("sha256:")


def begun(data: bytes) -> None:
    """Somebody had fetched this much before."""
    partial().parent.mkdir(parents=True)
    partial().write_bytes(data)


def nothing_half_made() -> bool:
    return not partial().parent.exists() or list(partial().parent.iterdir()) == []


class Told(Progress):
    """From where on the blob was fetched, each time."""

    def __init__(self) -> None:
        self.begins: list[int] = []

    def begin(self, blob: Descriptor, already: int) -> None:
        self.begins.append(already)


def download(answer: Callable[[Handler], None], progress: Progress | None = None) -> None:
    """Fetch BLOB from a server that answers so."""
    with servers.rogue(answer) as address, connected(address, Access(), None) as there:
        fetch(there, "app", BLOB, progress or Progress())


def start(handler: Handler) -> int:
    """Where the part begins that is asked for."""
    found = re.fullmatch(r"bytes=([0-9]+)-", handler.headers.get("Range", ""))
    return int(found[1]) if found else 0


def rest(handler: Handler) -> None:
    """Answer as a server that knows ranges."""
    first = start(handler)
    if not first:
        return handler.reply(200, DATA)
    told = f"bytes {first}-{len(DATA) - 1}/{len(DATA)}"
    handler.reply(206, DATA[first:], content_range=told)


def cut(handler: Handler, length: int) -> None:
    """Begin an answer and break it off after so many bytes."""
    first = start(handler)
    headers = {"content_range": f"bytes {first}-{len(DATA) - 1}/{len(DATA)}"} if first else {}
    piece = DATA[first : first + length]
    handler.reply(206 if first else 200, piece, content_length=len(DATA) - first, **headers)
    handler.break_off()


class TestABrokenConnection:
    def test_is_gone_on_with_where_it_broke(self) -> None:
        lengths = [200_000, 300_000]
        told = Told()
        download(lambda h: cut(h, lengths.pop(0)) if lengths else rest(h), told)
        assert store.get(BLOB.digest) == DATA
        assert told.begins == [0, 200_000, 500_000]
        assert nothing_half_made()

    def test_that_breaks_again_and_again_leaves_what_came(self) -> None:
        with pytest.raises(LabError, match="the connection broke.*pull again"):
            download(lambda handler: cut(handler, 1000))
        assert 0 < partial().stat().st_size < len(DATA)
        assert not store.blob_path(BLOB.digest).exists()
        told = Told()
        download(rest, told)
        assert told.begins[0] > 0
        assert store.get(BLOB.digest) == DATA

    @needs_registry
    def test_of_a_real_registry_costs_no_byte_twice(self, plain: str, machine: Machine) -> None:
        made = image("app", 2_000_000)
        registry.push(made, f"{plain}/broken")
        machine("second")
        with Relay(plain, down_cuts=[900_000, 500_000]).running() as relay:
            registry.pull(f"{relay.address}/broken")
            assert relay.down_cuts == []
            assert relay.down < 2_000_000 * 1.3  # what was on the way when it broke is lost
        assert store.resolve(f"{relay.address}/broken").layers == made.layers

    @needs_registry
    def test_over_tls_is_no_different(self, machine: Machine, tmp_path: Path) -> None:
        made = image("app", 2_000_000)
        trusted = servers.certificates(tmp_path / "trusted")
        access = Access(cert_dir=trusted.folder)
        (tmp_path / "registry").mkdir()
        tls = {"certificate": str(trusted.certificate), "key": str(trusted.key)}
        with servers.registry(tmp_path / "registry", tls=tls) as address:
            registry.push(made, f"{address}/broken", access)
            machine("second")
            with Relay(address, down_cuts=[900_000, 500_000]).running() as relay:
                registry.pull(f"{relay.address}/broken", access)
                assert relay.down_cuts == []
                assert relay.down < 2_000_000 * 1.3

    def test_is_gone_on_with_at_another_host_where_the_registry_leads_to_it(self) -> None:
        lengths = [200_000]
        with servers.rogue(lambda h: cut(h, lengths.pop()) if lengths else rest(h)) as blobs:
            told = Told()
            download(lambda h: h.reply(307, location=f"http://{blobs}/somewhere?signed"), told)
        assert told.begins == [0, 200_000]
        assert store.get(BLOB.digest) == DATA


class TestWhatWasFetchedBefore:
    def test_is_not_fetched_again(self) -> None:
        begun(DATA[:400_000])
        told = Told()
        download(rest, told)
        assert told.begins == [400_000]
        assert store.get(BLOB.digest) == DATA

    def test_that_is_all_there_is_only_verified(self) -> None:
        begun(DATA)
        download(lambda handler: handler.reply(500))
        assert store.get(BLOB.digest) == DATA

    @pytest.mark.parametrize(
        "before", [b"0" * 400_000, b"0" * len(DATA), DATA + b"more"], ids=["part", "all", "more"]
    )
    def test_and_proves_wrong_is_fetched_anew(self, before: bytes) -> None:
        begun(before)

        def answer(handler: Handler) -> None:
            if start(handler) >= len(DATA):
                return handler.reply(416, content_range=f"bytes */{len(DATA)}")
            rest(handler)

        download(answer)
        assert store.get(BLOB.digest) == DATA

    def test_is_fetched_anew_from_a_server_that_knows_no_ranges(self) -> None:
        begun(b"0" * 400_000)
        told = Told()
        download(lambda handler: handler.reply(200, DATA), told)
        assert told.begins == [400_000, 0]
        assert store.get(BLOB.digest) == DATA

    @pytest.mark.parametrize(
        "told", ["bytes 0-9/10", "bytes 4000-9/10", "", "bytes", "bytes 400000", "x"]
    )
    def test_is_not_mixed_with_another_part(self, told: str) -> None:
        begun(DATA[:400_000])

        def answer(handler: Handler) -> None:
            if start(handler):
                return handler.reply(206, DATA[:300_000], content_range=told)
            handler.reply(200, DATA)

        download(answer)
        assert store.get(BLOB.digest) == DATA


class TestAnAnswerThatIsNotTheBlob:
    @pytest.mark.parametrize(
        ("body", "why"),
        [
            (b"0" * len(DATA), "what came has the digest sha256:"),
            (DATA + b"more", "longer than the 700000 bytes announced"),
            (b"", "ended after 0 of 700000 bytes"),
        ],
        ids=["another", "longer", "empty"],
    )
    def test_is_refused_and_never_stored(self, body: bytes, why: str) -> None:
        with pytest.raises(LabError, match=why):
            download(lambda handler: handler.reply(200, body))
        assert not store.blob_path(BLOB.digest).exists()
        assert nothing_half_made()

    def test_that_has_no_end_is_ended(self) -> None:
        def answer(handler: Handler) -> None:
            handler.send_response(200)
            handler.end_headers()
            try:
                while True:
                    handler.wfile.write(bytes(1 << 16))
            except OSError:
                handler.close_connection = True

        with pytest.raises(LabError, match="longer than the 700000 bytes"):
            download(answer)
        assert nothing_half_made()

    @pytest.mark.parametrize("length", [1, len(DATA) - 1])
    def test_whose_announced_length_is_too_small(self, length: int) -> None:
        with pytest.raises(LabError, match=f"after {length} of|connection broke"):
            download(lambda handler: handler.reply(200, DATA, content_length=length))

    def test_that_is_an_error_is_told(self) -> None:
        said = b'{"errors": [{"code": "BLOB_UNKNOWN", "message": "blob unknown"}]}'
        with pytest.raises(LabError, match=r"404 Not Found \(blob unknown\)"):
            download(lambda handler: handler.reply(404, said))
        assert nothing_half_made()


def test_two_that_want_the_same_blob_fetch_it_once() -> None:
    asked = []
    both = threading.Barrier(2)

    def answer(handler: Handler) -> None:
        asked.append(start(handler))
        rest(handler)

    with servers.rogue(answer) as address, connected(address, Access(), None) as there:

        def want() -> None:
            both.wait()
            fetch(there, "app", BLOB, Progress())

        wanting = [threading.Thread(target=want) for _ in range(2)]
        for thread in wanting:
            thread.start()
        for thread in wanting:
            thread.join()
    assert asked == [0]
    assert store.get(BLOB.digest) == DATA
    assert nothing_half_made()


@pytest.mark.parametrize("digest", ["sha256:../../etc/passwd", "md5:" + "0" * 32, "sha256:"])
def test_what_is_no_digest_becomes_no_file(digest: str) -> None:
    with (
        servers.rogue(rest) as address,
        connected(address, Access(), None) as there,
        pytest.raises(LabError, match="not a sha256 digest"),
    ):
        fetch(there, "app", Descriptor(LAYER_GZIP, digest, 9), Progress())


@needs_registry
def test_control_c_leaves_nothing_but_what_is_gone_on_with(plain: str, machine: Machine) -> None:
    made = image("app", 3_000_000)
    registry.push(made, f"{plain}/interrupted")
    blob = made.layers[0]
    first_part = store.get(blob.digest)[:1_000_000]
    machine("second")
    stay = threading.Event()

    def answer(handler: Handler) -> None:
        """All but the layer is the registry's; of that, a part comes, and then nothing more."""
        if not handler.path.endswith(blob.digest):
            return handler.reply(307, location=f"http://{plain}{handler.path}")
        handler.reply(200, first_part, content_length=blob.size)
        handler.wfile.flush()
        stay.wait(60)
        handler.break_off()

    with servers.rogue(answer) as address:
        pulling = subprocess.Popen(
            command("pull", f"{address}/interrupted"),
            env=environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        while not partial(blob).exists() or partial(blob).stat().st_size < 500_000:
            time.sleep(0.01)
        pulling.send_signal(signal.SIGINT)
        out, err = pulling.communicate(timeout=10)
        stay.set()
    assert (pulling.returncode, out) == (130, "")
    assert err.splitlines()[-1].startswith("labrt: interrupted")
    assert "Traceback" not in err
    assert store.names() == []
    assert list(partial().parent.iterdir()) == [partial(blob)]
    with Relay(plain).running() as relay:
        registry.pull(f"{relay.address}/interrupted")
        assert relay.down < blob.size - 500_000 + 10_000
