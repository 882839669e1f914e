"""labrt/images/store.py: every blob is what its digest says, or it isn't used."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

from labrt.errors import LabError
from labrt.images import store

ROOT = Path(__file__).parent.parent.parent.parent


@pytest.fixture(autouse=True)
def empty_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAB_HOME", str(tmp_path))


def put_image(name: str, **config: object) -> str:
    text = json.dumps({"config": config, "rootfs": {"type": "layers", "diff_ids": []}})
    manifest = {"config": {"digest": store.put(text.encode())}, "layers": []}
    digest = store.put(json.dumps(manifest).encode())
    store.tag(name, digest)
    return digest


def test_a_blob_is_named_by_its_digest() -> None:
    digest = store.put(b"hello")
    assert digest == "sha256:" + hashlib.sha256(b"hello").hexdigest()
    assert store.get(digest) == b"hello"


def test_a_damaged_blob_is_refused() -> None:
    digest = store.put(b"hello")
    store.blob_path(digest).write_bytes(b"hullo")
    with pytest.raises(LabError, match="its bytes have the digest"):
        store.get(digest)


@pytest.mark.parametrize(
    "digest", ["sha256:../../etc/passwd", "md5:" + "0" * 32, "sha256:" + "G" * 64, "", "sha256:"]
)
def test_a_name_that_is_no_digest_never_becomes_a_path(digest: str) -> None:
    with pytest.raises(LabError, match="not a sha256 digest"):
        store.blob_path(digest)


def test_a_tag_moves() -> None:
    first, second = put_image("it", Cmd=["one"]), put_image("it", Cmd=["two"])
    assert first != second
    assert store.names() == ["it"]
    assert store.resolve("it").digest == second


def test_what_a_process_has_read_before_hides_no_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = put_image("it", Cmd=["one"]), put_image("that", Cmd=["two"])
    assert store.resolve("it").command == ("one",)
    code = f"from labrt.images import store; store.tag('it', {second!r})"
    command = [sys.executable, "-c", code]
    subprocess.run(command, env={"LAB_HOME": str(tmp_path), "PYTHONPATH": str(ROOT)}, check=True)
    assert store.resolve("it").command == ("two",)
    store.blob_path(second).write_bytes(b"{}")
    with pytest.raises(LabError, match="its bytes have the digest"):
        store.resolve("it")
    store.blob_path(second).unlink()
    with pytest.raises(LabError, match="it isn't in the store"):
        store.resolve("it")
    assert store.load("it", first).command == ("one",)
    monkeypatch.setenv("LAB_HOME", str(tmp_path / "other"))
    with pytest.raises(LabError, match="no such image"):
        store.resolve("that")


def test_the_command_is_entrypoint_then_cmd() -> None:
    put_image("it", Entrypoint=["/entry"], Cmd=["argument"])
    assert store.resolve("it").command == ("/entry", "argument")


def test_an_unknown_name_tells_the_known_ones() -> None:
    put_image("it")
    with pytest.raises(LabError, match=r"find the image 'that'.*known here: it"):
        store.resolve("that")


def test_writers_at_the_same_time_lose_nothing(tmp_path: Path) -> None:
    digest = put_image("first")
    code = f"from labrt.images import store; import sys; store.tag(sys.argv[1], {digest!r})"
    names = [f"image{n}" for n in range(4)]
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", code, name],
            env={"LAB_HOME": str(tmp_path), "PYTHONPATH": str(ROOT)},
        )
        for name in names
    ]
    assert [writer.wait(timeout=60) for writer in writers] == [0] * 4
    assert store.names() == sorted(["first", *names])


def test_an_image_may_have_no_name_until_it_gets_one() -> None:
    digest = put_image("it")
    store.untag(*store.entries())
    store.tag("", digest)
    store.tag("", digest)
    assert store.entries() == [store.Entry("", digest)]
    assert store.names() == []
    store.tag("it", digest)
    store.tag("", digest)
    assert store.entries() == [store.Entry("it", digest)]


def test_an_image_that_lacks_a_part_gets_no_name() -> None:
    digest = put_image("it")
    config = json.loads(store.get(digest))["config"]["digest"]
    store.blob_path(config).unlink()
    with pytest.raises(LabError, match=f"{config} isn't here"):
        store.tag("that", digest)
    assert store.names() == ["it"]


def test_what_arrives_is_kept_only_whole_and_with_its_digest() -> None:
    digest = "sha256:" + hashlib.sha256(b"hello").hexdigest()
    with pytest.raises(LabError, match="its bytes have the digest"), store.Incoming() as blob:
        blob.write(b"hullo")
        blob.keep(digest)
    with store.Incoming() as blob:
        blob.write(b"hel")
    assert list((store.folder() / "blobs" / "sha256").iterdir()) == []
    with store.Incoming() as blob:
        blob.write(b"hello")
        assert blob.keep(digest) == digest
    assert store.get(digest) == b"hello"


def test_the_store_is_had_alone_only_while_nobody_adds() -> None:
    with store.adding(), pytest.raises(LabError, match="a load is at work"), store.alone(0.05):
        pass
    with store.alone(0.05):
        pass
