"""labrt/images/garbage.py: what nothing needs goes, what anything needs stays, whoever races."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from labrt import container, paths, removal, state
from labrt.declare import declare
from labrt.errors import LabError
from labrt.images import garbage, interchange, layers, naming, store
from tests.labrt.images import made
from tests.labrt.images.test_store import ROOT


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LAB_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def blobs() -> set[str]:
    return {file.name for file in (store.folder() / "blobs" / "sha256").iterdir()}


def unpacked() -> set[str]:
    return {folder.name for folder in (paths.home() / "layers").iterdir()}


def python(code: str, *arguments: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    pipe = subprocess.PIPE
    return subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        env=environment,
        text=True,
        stdout=pipe,
        stderr=pipe,
    )


def test_blobs_and_layers_of_a_removed_image_go_but_not_those_shared() -> None:
    base = {"base": b"base"}
    keeps, goes = made.image("keeps", base), made.image("goes", base, {"more": b"more"})
    layers.unpacked(goes)
    assert garbage.collect() == []
    naming.remove("goes")
    would = garbage.collect(dry_run=True)
    assert sorted(each.kind for each in would) == ["blob", "blob", "blob", "layer"]
    assert garbage.collect() == would
    assert goes.layers[1].digest.removeprefix("sha256:") not in blobs()
    assert layers.unpacked(keeps) == layers.unpacked(keeps)
    assert len(blobs()) == 3
    assert len(unpacked()) == 1
    assert garbage.collect() == []


def test_its_bytes_are_told() -> None:
    layers.unpacked(made.image("it", {"a": b"x" * 1000, "b": b"y" * 10}))
    naming.remove("it")
    (layer,) = [each for each in garbage.collect() if each.kind == "layer"]
    assert layer.size == 1010


def test_an_image_without_a_name_stays() -> None:
    image = made.image("", {"a": b"a"})
    store.tag("", image.digest)
    assert garbage.collect() == []
    assert store.resolve(image.digest).digest == image.digest


def test_what_a_container_that_does_not_run_needs_stays() -> None:
    image = made.image("it", {"bin/true": b"#!"}, config={"Cmd": ["/bin/true"]})
    spec = declare(image, detach=True)
    container.create(spec)
    naming.remove("it", force=True)
    assert garbage.collect() == []
    removal.remove(Path(spec.state_dir))
    assert len(garbage.collect()) == 4
    assert blobs() == unpacked() == set()


def test_what_the_build_cache_remembers_stays_until_all_is_to_go() -> None:
    cache = store.folder() / "cache" / "key-of-a-step"
    cache.parent.mkdir(parents=True)
    cache.write_text(json.dumps({"layer": made.layer({"a": b"a"}).blob.digest}))
    assert garbage.collect() == []
    assert [each.kind for each in garbage.collect(cache=True)] == ["cache", "blob"]
    assert blobs() == set()
    assert not cache.exists()


def test_what_a_killed_writer_left_goes_at_once() -> None:
    code = (
        "import time; from labrt.images import store; blob = store.Incoming();"
        "blob.write(b'x' * 99); print('half', flush=True); time.sleep(60)"
    )
    with python(code) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "half\n"
        with pytest.raises(LabError, match="a load is at work"), store.alone(0.05):
            pass
        writer.send_signal(signal.SIGKILL)
    (store.folder() / ".new-index").touch()
    assert [each.kind for each in garbage.collect()] == ["half-written"] * 2
    assert blobs() == set()
    assert not (store.folder() / ".new-index").exists()


def test_what_has_come_of_a_blob_goes_unless_somebody_fetches_it() -> None:
    partial = store.folder() / "partial"
    partial.mkdir(parents=True)
    fetched = state.lock_file(partial / "fetched")
    (partial / "left").write_bytes(b"half")
    assert [(each.kind, each.size) for each in garbage.collect()] == [("partial", 4)]
    assert [file.name for file in partial.iterdir()] == ["fetched"]
    assert fetched is not None
    os.close(fetched)


def test_what_an_interrupted_collection_left_goes_with_the_next() -> None:
    folder = paths.home() / "layers" / ".new-gone-sha256-0"
    (folder / "bin").mkdir(parents=True)
    assert [each.path for each in garbage.collect()] == [folder]
    assert not folder.exists()


def test_a_layer_that_a_container_came_to_use_meanwhile_stays(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    image = made.image("it", {"bin/true": b"#!"}, config={"Cmd": ["/bin/true"]})
    spec = declare(image, detach=True)
    naming.remove("it")
    look = garbage._layers

    def late(kept: set[str]) -> list[garbage.Garbage]:
        found = look(kept)
        container.create(spec)
        return found

    monkeypatch.setattr(garbage, "_layers", late)
    assert "layer" not in [each.kind for each in garbage.collect()]
    assert (Path(spec.root.layers[0]) / "bin" / "true").exists()
    removal.remove(Path(spec.state_dir))


def test_a_damaged_manifest_stops_nobody() -> None:
    image = made.image("it", {"a": b"a"})
    store.blob_path(image.digest).write_bytes(b"\xff")
    assert [each.kind for each in garbage.collect()] == ["blob", "blob"]


WRITER = """
import sys
from labrt.images import layers, naming, store
from tests.labrt.images import made
for turn in range(8):
    for n in range(2):
        image = made.image(f"{sys.argv[1]}{n}", {"base": b"base"}, {"file": b"%d" % turn})
        for layer in image.layers:
            with store.Verified(layer.digest) as blob:
                blob.finish()
    (*_, top) = layers.unpacked(image)
    assert (top / "file").read_bytes() == b"%d" % turn
"""
LOADER = """
import sys
from labrt.images import interchange, naming, store
for turn in range(20):
    ((name, digest),) = interchange.load(sys.argv[1])
    for layer in store.resolve(digest).layers:
        with store.Verified(layer.digest) as blob:
            blob.finish()
"""
COLLECTOR = """
import pathlib, sys
from labrt.errors import LabError
from labrt.images import garbage
freed = 0
while not pathlib.Path(sys.argv[1]).exists():
    try:
        freed += len(garbage.collect())
    except LabError as error:
        assert "is at work" in str(error), error
print(freed)
"""


def test_collectors_and_writers_at_the_same_time_lose_nothing(home: Path) -> None:
    made.image("loaded", {"only": b"in the archive"})
    interchange.save(f"{home}/archive", ["loaded"], "oci-archive")
    naming.remove("loaded")
    collectors = [python(COLLECTOR, f"{home}/stop") for _ in range(2)]
    writers = [python(WRITER, f"writer{n}-") for n in range(2)]
    writers += [python(LOADER, f"{home}/archive") for _ in range(2)]
    told = [writer.communicate(timeout=60)[1] for writer in writers]
    (home / "stop").touch()
    ended = [each.communicate(timeout=30) for each in collectors]
    assert told == [""] * 4
    assert [errors for _, errors in ended] == [""] * 2
    assert sum(int(freed) for freed, _ in ended) > 0
    garbage.collect()
    kept = {layer.digest for name in store.names() for layer in store.resolve(name).layers}
    assert {digest.removeprefix("sha256:") for digest in kept} < blobs()
    # Both writers have the same base, the same last file, and so the same digest.
    assert len(blobs()) == 4 + 3
