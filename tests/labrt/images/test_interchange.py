"""labrt load and save: an image goes through a file unchanged; hostile files leave nothing."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import lzma
import os
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard

from labrt.errors import LabError
from labrt.images import archives, arriving, interchange, making, manifests, naming, store
from labrt.images.store import Entry, Image
from tests.labrt.images import made
from tests.labrt.images.test_store import ROOT

Files = dict[str, bytes]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LAB_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def one() -> Image:
    return made.image("one", {"base": b"base"}, {"file": b"1"}, config={"Cmd": ["/file"]})


@pytest.fixture(params=interchange.WRITERS)
def form(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Go on with an empty store."""
    monkeypatch.setenv("LAB_HOME", str(tmp_path / "other"))


def in_store() -> list[str]:
    """Everything in the store but its locks."""
    found = sorted(path for path in store.folder().rglob("*") if path.is_file())
    return [path.name for path in found if path.name not in ("lock", "writers", "collector")]


def test_an_image_goes_through_a_file_and_is_the_same(
    one: Image, form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    naming.tag("one", "registry.example:5000/team/one:v2")
    two = made.image("two", {"base": b"base"}, {"file": b"2"})
    wanted = ["one", "registry.example:5000/team/one:v2", "two"]
    interchange.save(str(tmp_path / "file"), wanted, form)
    elsewhere(tmp_path, monkeypatch)
    digests = [one.digest, one.digest, two.digest]
    assert interchange.load(str(tmp_path / "file")) == list(map(Entry, wanted, digests))
    assert [store.resolve(name).digest for name in wanted] == digests
    assert store.resolve("one").config == one.config
    assert interchange.load(str(tmp_path / "file")) == list(map(Entry, wanted, digests))


def test_saved_twice_it_is_the_same_file(
    one: Image, form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    interchange.save(str(first), ["one"], form)
    elsewhere(tmp_path, monkeypatch)
    interchange.load(str(first))
    interchange.save(str(second), ["one"], form)
    assert first.read_bytes() == second.read_bytes()


def test_every_kind_of_layer_goes_along(form: str, tmp_path: Path) -> None:
    kinds = (store.LAYER_TAR, store.LAYER_GZIP, store.LAYER_ZSTD)
    stack = [made.layer({f"file{n}": b"x"}, kind) for n, kind in enumerate(kinds)]
    image = making.image("it", stack, {"config": {}})
    interchange.save(str(tmp_path / "file"), ["it"], form)
    naming.remove("it")
    assert interchange.load(str(tmp_path / "file")) == [Entry("it", image.digest)]


@pytest.mark.parametrize(
    "compress", [gzip.compress, zstandard.ZstdCompressor().compress, lzma.compress]
)
def test_the_file_may_be_compressed(
    one: Image, tmp_path: Path, compress: Callable[[bytes], bytes]
) -> None:
    interchange.save(str(tmp_path / "file"), ["one"], "oci-archive")
    (tmp_path / "file").write_bytes(compress((tmp_path / "file").read_bytes()))
    assert interchange.load(str(tmp_path / "file")) == [Entry("one", one.digest)]
    (tmp_path / "file").write_bytes((tmp_path / "file").read_bytes()[:-9])
    with pytest.raises(LabError, match="damaged"):
        interchange.load(str(tmp_path / "file"))


def labrt(*arguments: str, **how: object) -> subprocess.CompletedProcess[bytes]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "labrt.cli", *arguments]
    options = {"capture_output": True, "timeout": 60, "env": environment, **how}
    return subprocess.run(command, **options)  # type: ignore[call-overload, no-any-return]


def test_it_goes_through_a_pipe_too(one: Image) -> None:
    saved = labrt("save", "one")
    assert (saved.returncode, saved.stderr) == (0, b"")
    naming.remove("one")
    loaded = labrt("load", input=saved.stdout)
    assert loaded.stdout.decode() == f"one {one.digest}\n"
    half = labrt("load", input=saved.stdout[: len(saved.stdout) // 2])
    assert half.returncode == 125
    assert half.stderr.count(b"\n") == 1


def test_what_can_not_be_saved_leaves_no_file(one: Image, form: str, tmp_path: Path) -> None:
    path = tmp_path / "there"
    path.write_text("before")
    store.blob_path(one.layers[1].digest).write_bytes(b"damaged")
    for file in (path, tmp_path / "new"):
        with pytest.raises(LabError, match="the file was changed or damaged"):
            interchange.save(str(file), ["one"], form)
    with pytest.raises(LabError, match="no such image"):
        interchange.save(str(path), ["nosuch"], form)
    assert path.read_text() == "before"
    assert sorted(each.name for each in tmp_path.iterdir()) == ["home", "there"]


def test_it_may_be_written_into_a_device(one: Image, form: str) -> None:
    interchange.save("/dev/null", ["one"], form)
    assert not Path("/dev/null").is_file()


def packed(files: Files, *more: tarfile.TarInfo) -> bytes:
    buffer = io.BytesIO(made.archive(files))
    with tarfile.open(fileobj=buffer, mode="a") as archive:
        for member in more:
            archive.addfile(member)
    return buffer.getvalue()


def oci(**damage: object) -> Files:
    """The files of an oci-archive of an image of one layer; `damage` changes its manifest."""
    layer = gzip.compress(made.archive({"file": b"1"}), mtime=0)
    config = json.dumps({"rootfs": {"diff_ids": [digest(gzip.decompress(layer))]}}).encode()
    manifest = {
        "schemaVersion": 2,
        "mediaType": store.MANIFEST,
        "config": described(store.CONFIG, config),
        "layers": [described(store.LAYER_GZIP, layer)],
        **damage,
    }
    data = json.dumps(manifest).encode()
    index = {"manifests": [{**described(store.MANIFEST, data), "annotations": {}}]}
    blobs = {f"blobs/sha256/{digest(blob)[7:]}": blob for blob in (layer, config, data)}
    return {"index.json": json.dumps(index).encode(), **blobs}


def docker(**damage: object) -> Files:
    """The files that Docker before 25 wrote; `damage` changes manifest.json."""
    layer = made.archive({"file": b"1"})
    config = json.dumps({"rootfs": {"diff_ids": [digest(layer)]}}).encode()
    name = f"{digest(config)[7:]}.json"
    image = {"Config": name, "RepoTags": ["it:latest"], "Layers": ["a/layer.tar"], **damage}
    return {name: config, "a/layer.tar": layer, "manifest.json": json.dumps([image]).encode()}


def with_layer(**damage: object) -> Files:
    """The files of an oci-archive whose manifest says something wrong of its layer."""
    *_, manifest = oci().values()
    (layer,) = json.loads(manifest)["layers"]
    return oci(layers=[{**layer, **damage}])


def digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def described(media_type: str, data: bytes) -> dict[str, object]:
    return {"mediaType": media_type, "digest": digest(data), "size": len(data)}


def renamed(files: Files, index: dict[str, object]) -> Files:
    """Change what index.json says of the image."""
    (entry,) = json.loads(files["index.json"])["manifests"]
    return {**files, "index.json": json.dumps({"manifests": [{**entry, **index}]}).encode()}


def changed(files: Files, which: str, data: bytes) -> Files:
    """Change the first file whose name begins like this."""
    return {**files, next(name for name in files if name.startswith(which)): data}


def loaded(tmp_path: Path, data: bytes) -> list[Entry]:
    (tmp_path / "file").write_bytes(data)
    return interchange.load(str(tmp_path / "file"))


def test_what_docker_before_25_wrote(tmp_path: Path) -> None:
    files = docker()
    (entry,) = loaded(tmp_path, packed(files))
    assert entry.name == "it"
    image = store.resolve("it")
    assert image.layers[0].digest == image.diff_ids[0]  # stored as it came
    assert digest(next(iter(files.values()))) == store.parts(entry.digest)[0]  # Docker's image id


def test_a_layer_that_is_a_link_to_another_of_the_archive(tmp_path: Path) -> None:
    files = docker(Layers=["b/layer.tar"])
    (entry,) = loaded(tmp_path, packed(files, link("b/layer.tar", "../a/layer.tar")))
    assert store.resolve(entry.digest).layers[0].digest == digest(files["a/layer.tar"])


def test_an_image_without_a_name_is_kept_by_its_digest(tmp_path: Path) -> None:
    for files in (docker(RepoTags=None), oci()):
        (entry,) = loaded(tmp_path, packed(files))
        assert entry.name == ""
        assert store.resolve(entry.digest[7:19]).digest == entry.digest


def test_of_an_image_for_several_platforms_this_hosts_is_taken(tmp_path: Path) -> None:
    ours, theirs = oci(), oci(annotations={"for": "others"})
    entries = []
    for files, architecture in ((theirs, "s390x"), (ours, this_host())):
        (entry,) = json.loads(files["index.json"])["manifests"]
        entries.append({**entry, "platform": {"os": "linux", "architecture": architecture}})
    inner = json.dumps({"schemaVersion": 2, "manifests": entries}).encode()
    name = f"blobs/sha256/{digest(inner)[7:]}"
    files = renamed({**ours, name: inner}, described(store.INDEX, inner))
    (entry,) = loaded(tmp_path, packed(files))
    assert entry.digest == entries[1]["digest"]


def this_host() -> str:
    return manifests.parse_platform("").architecture


def link(name: str, target: str, kind: bytes = tarfile.SYMTYPE) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, target
    return member


def of_kind(name: str, kind: bytes) -> tarfile.TarInfo:
    return link(name, "", kind)


NAME = {"annotations": {store.REF_NAME: "../../x\x1b[31m"}}
LEADS_OUT = "the name leads out of it"
HOSTILE = {
    "no archive": (b"no archive at all" * 99, "no tar archive"),
    "nothing": (b"", "no tar archive"),
    "an archive of something else": (packed({"file": b"x"}), "no archive of images"),
    "truncated": (packed(oci())[:3000], "its end is missing"),
    "a path out": (packed({**oci(), "../../x": b"x"}), LEADS_OUT),
    "an absolute path": (packed({**oci(), "/etc/passwd": b"x"}), LEADS_OUT),
    "the same file twice": (packed(oci(), of_kind("index.json", tarfile.REGTYPE)), "there twice"),
    "a device": (packed(oci(), of_kind("sda", tarfile.BLKTYPE)), "neither a file"),
    "a FIFO": (packed(oci(), of_kind("pipe", tarfile.FIFOTYPE)), "neither a file"),
    "a link to the host": (
        packed(docker(Layers=["b"]), link("b", "/etc/passwd")),
        LEADS_OUT,
    ),
    "a link to the store": (packed(docker(Layers=["b"]), link("b", "../index.json")), LEADS_OUT),
    "a link to itself": (packed(docker(Layers=["b"]), link("b", "b")), "it is no file"),
    "a hard link to the host": (
        packed(docker(Layers=["b"]), link("b", "/etc/passwd", tarfile.LNKTYPE)),
        LEADS_OUT,
    ),
    "a layer's name leads out": (packed(docker(Layers=["../../etc/passwd"])), LEADS_OUT),
    "the index is a folder": (packed({"index.json": None}), "it is no file"),  # type: ignore[dict-item]
    "no JSON": (packed({"index.json": b"{"}), "it is no JSON"),
    "nested JSON": (packed({"index.json": b"[" * 100_000}), "nested too deep"),
    "the index isn't one": (packed({"index.json": b'{"manifests": 3}'}), "should be a list"),
    "manifest.json isn't a list": (packed({"manifest.json": b"3"}), "should be a list"),
    "too large an index": (packed({"index.json": b" " * (5 << 20)}), "more than 4194304 bytes"),
    "a digest that is a path": (
        packed(renamed(oci(), {"digest": "sha256:../../../etc/passwd"})),
        "not a sha256 digest",
    ),
    "a hostile name": (packed(renamed(oci(), NAME)), "read the image name"),
    "a hostile tag": (packed(docker(RepoTags=["x;reboot"])), "read the image name"),
    "a missing manifest": (packed(renamed(oci(), {"digest": digest(b"x")})), "it isn't there"),
    "a changed manifest": (
        packed(changed(oci(), list(oci())[-1], list(oci(more=1).values())[-1])),
        "its bytes have the digest",
    ),
    "a missing layer": (packed(docker(Layers=["b/layer.tar"])), "it isn't there"),
    "a missing configuration": (packed(docker(Config="nosuch.json")), "it isn't there"),
    "a changed configuration": (
        packed(changed(docker(), "", b'{"rootfs": {"diff_ids": []}}')),
        "its bytes have the digest",
    ),
    "a changed layer": (packed({**docker(), "a/layer.tar": b"x"}), "the configuration says"),
    "a changed blob": (packed(changed(oci(), "blobs", b"changed")), "its bytes have the digest"),
    "a layer too few": (packed(docker(Layers=[])), "it tells of 1 layers, the manifest of 0"),
    "a layer of another size": (
        packed(with_layer(size=7)),
        "not 7",
    ),
    "a layer of an unknown kind": (packed(with_layer(mediaType="x")), "a layer of the type 'x'"),
    "a layer that isn't compressed as it says": (
        packed(with_layer(mediaType=store.LAYER_ZSTD)),
        "decompress the layer",
    ),
    "layers that are no list": (packed(oci(layers={"a": 1})), "read "),
    "a configuration that is no image's": (
        packed(oci(config={**described("application/wasm", b""), "size": 0})),
        "application/wasm",
    ),
    "a manifest of another kind": (packed(renamed(oci(), {"mediaType": "text/html"})), "text/html"),
    "Docker's schema 1": (packed(oci(schemaVersion=1)), "schema 1"),
}


@pytest.mark.parametrize(("data", "said"), HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_archive_is_refused_by_name_and_leaves_nothing(
    data: bytes, said: str, tmp_path: Path
) -> None:
    with pytest.raises(LabError) as refused:
        loaded(tmp_path, data)
    assert said in str(refused.value)
    assert str(refused.value).isprintable()
    assert in_store() == []
    assert sorted(each.name for each in tmp_path.iterdir()) == ["file", "home"]


def test_one_bad_image_among_good_ones_is_enough(tmp_path: Path) -> None:
    (good,), (bad,) = (json.loads(docker(**d)["manifest.json"]) for d in ({}, {"Layers": ["b"]}))
    files = {**docker(), "manifest.json": json.dumps([good, bad]).encode()}
    with pytest.raises(LabError, match="it isn't there"):
        loaded(tmp_path, packed(files))
    assert in_store() == []


@pytest.mark.parametrize("where", ["the archive", "its layer", "its blobs"])
def test_a_bomb_is_refused_before_it_goes_off(
    where: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(arriving, "MOST", 8 << 20)
    monkeypatch.setattr(archives, "MOST", 8 << 20)
    zeros = bytes(9 << 20)
    if where == "its layer":
        config = json.dumps({"rootfs": {"diff_ids": [digest(zeros)]}}).encode()
        name = f"{digest(config)[7:]}.json"
        bomb = {**docker(Config=name), name: config, "a/layer.tar": gzip.compress(zeros)}
        data = packed(bomb)
    else:
        data = packed({**docker(), "a/layer.tar": zeros})
    with pytest.raises(LabError, match="a bomb"):
        loaded(tmp_path, gzip.compress(data) if where == "the archive" else data)
    assert in_store() == []


def test_more_members_than_any_image_has_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archives, "_MOST_MEMBERS", 5)
    loaded(tmp_path, packed(oci()))
    with pytest.raises(LabError, match="comes after 5 others"):
        loaded(tmp_path, packed({**oci(), "a": b"", "b": b""}))


MEASURE = """
import resource, sys
from labrt.images import interchange
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
getattr(interchange, sys.argv[1])(*eval(sys.argv[2]))
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def test_no_layer_is_ever_in_memory(tmp_path: Path, form: str) -> None:
    big = made.layer({"a": os.urandom(64 << 20)}, store.LAYER_TAR)
    making.image("big", [big], {"config": {}})
    path = str(tmp_path / "file")
    for what, arguments in (("save", (path, ["big"], form)), ("load", (path,))):
        grown = subprocess.run(
            [sys.executable, "-c", MEASURE, what, repr(arguments)],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=True,
        )
        assert int(grown.stdout) < 32 << 10  # KiB
