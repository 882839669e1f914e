"""The store: an OCI image layout, where every blob is named by the digest of its bytes.

    LAB_HOME/images/
        oci-layout          {"imageLayoutVersion": "1.0.0"}
        index.json          name → manifest digest
        blobs/sha256/…      manifests, configs and layers
        lock                held by who writes index.json
        writers             held, shared, by who adds an image; alone by who looks for garbage
        collector           held by who collects garbage

https://github.com/opencontainers/image-spec/blob/main/image-layout.md
"""

from __future__ import annotations

import fcntl
import hashlib
import io
import json
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from labrt import paths
from labrt.errors import LabError
from labrt.images import documents
from labrt.images.documents import Document
from labrt.spec import HealthCheck

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER_TAR = "application/vnd.oci.image.layer.v1.tar"
LAYER_GZIP = f"{LAYER_TAR}+gzip"
LAYER_ZSTD = f"{LAYER_TAR}+zstd"
LAYOUT = b'{"imageLayoutVersion":"1.0.0"}'
_SHORTEST = len("sha256:") + 4  # of a digest's beginning, to find an image by it
_TIMES = {"interval": "Interval", "timeout": "Timeout", "start_period": "StartPeriod"}
_SHORTEST_TIME = 1_000_000  # ns, as Docker has it
REF_NAME = "org.opencontainers.image.ref.name"


@dataclass(frozen=True)
class Descriptor:
    """What refers to a blob: its type, digest and size in bytes
    (https://github.com/opencontainers/image-spec/blob/main/descriptor.md)."""

    media_type: str
    digest: str
    size: int

    @staticmethod
    def from_json(data: dict[str, Any], what: str = "a descriptor") -> Descriptor:
        """Read one.

        Raises:
            LabError: a part is missing or of another type.
        """
        found = Document(what, data)
        check_digest(digest := found.text("digest"))
        return Descriptor(found.text("mediaType"), digest, found.number("size"))

    def to_json(self) -> dict[str, Any]:
        return {"mediaType": self.media_type, "digest": self.digest, "size": self.size}


@dataclass(frozen=True)
class Image:
    """One image of the store.

    Attributes:
        name: what it is called here ("busybox").
        digest: of its manifest, "sha256:…": the image's identity everywhere in the lab.
        config: the OCI image configuration.
        layers: the layer blobs, lowest first.
    """

    name: str
    digest: str
    config: dict[str, Any]
    layers: tuple[Descriptor, ...]

    @property
    def diff_ids(self) -> tuple[str, ...]:
        """Digests of the *uncompressed* layers, which name the unpacked folders."""
        return tuple(self.config["rootfs"]["diff_ids"])

    @property
    def command(self) -> tuple[str, ...]:
        """What it runs when nothing else is asked for: Entrypoint followed by Cmd."""
        return (*self.entrypoint, *(self.config["config"].get("Cmd") or ()))

    @property
    def entrypoint(self) -> tuple[str, ...]:
        return tuple(self.config["config"].get("Entrypoint") or ())

    @property
    def env(self) -> tuple[str, ...]:
        return tuple(self.config["config"].get("Env") or ())

    @property
    def user(self) -> str:
        return self.config["config"].get("User") or ""

    @property
    def stop_signal(self) -> str:
        return self.config["config"].get("StopSignal") or "SIGTERM"

    @property
    def volumes(self) -> tuple[str, ...]:
        """Folders that are not to be part of a container's own layer."""
        return tuple(self.config["config"].get("Volumes") or ())

    @property
    def health(self) -> HealthCheck:
        """Docker's addition to the configuration; times are in ns there, 0 for the default."""
        told = self.config["config"].get("Healthcheck") or {}
        kind, *words = told.get("Test") or ["NONE"]
        before = {"CMD": (), "CMD-SHELL": ("/bin/sh", "-c")}.get(kind)
        args = (*before, *words) if words and before is not None else ()
        times = {name: (told.get(key) or 0) / 1e9 for name, key in _TIMES.items()}
        asked = {name: value for name, value in times.items() if value}
        return HealthCheck(args, **asked, retries=told.get("Retries") or HealthCheck().retries)

    @property
    def working_dir(self) -> str:
        return self.config["config"].get("WorkingDir") or "/"


def folder() -> Path:
    return paths.home() / "images"


def blob_path(digest: str) -> Path:
    """Return where a blob lies.

    Raises:
        LabError: not a sha256 digest (it may come from a hostile manifest).
    """
    check_digest(digest)
    return Path(f"{folder()}/blobs/sha256/{digest.removeprefix('sha256:')}")


def check_digest(digest: str) -> None:
    """Refuse what isn't "sha256:" and 64 hexadecimal digits.

    Raises:
        LabError: it isn't.
    """
    algorithm, _, value = digest.partition(":")
    if algorithm != "sha256" or len(value) != 64 or value.strip("0123456789abcdef"):
        raise LabError(f"find the blob {digest!r}", "not a sha256 digest", "a damaged manifest")


def put(data: bytes) -> str:
    """Store a blob; return its digest. Written aside and renamed, so never seen half-made."""
    digest = "sha256:" + hashlib.sha256(data).hexdigest()
    path = blob_path(digest)
    if not path.exists():
        with adding():
            paths.make(path.parent)
            paths.write_whole(path, data)
    return digest


def get(digest: str) -> bytes:
    """Return a blob, verified.

    Raises:
        LabError: it is missing, or its bytes don't have that digest.
    """
    try:
        data = paths.read_bytes(blob_path(digest))
    except FileNotFoundError:
        raise _missing(digest) from None
    _check(digest, hashlib.sha256(data))
    return data


def _missing(digest: str) -> LabError:
    return LabError(f"read the blob {digest}", "it isn't in the store")


class Incoming(io.RawIOBase):
    """A blob on its way into the store, of any size. Leaving its `with` block without `keep`
    leaves nothing."""

    def __init__(self) -> None:
        import tempfile  # only now: it takes 3 ms, and few commands write

        self._lock = ExitStack()
        self._lock.enter_context(adding())
        parent = folder() / "blobs" / "sha256"
        paths.make(parent)
        fd, self._temporary = tempfile.mkstemp(dir=parent, prefix=".new-")
        self._file = os.fdopen(fd, "wb")
        self._hash = hashlib.sha256()
        self.size = 0

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._hash.update(data)
        self.size += len(data)
        return self._file.write(data)

    @property
    def digest(self) -> str:
        """Of what has been written so far."""
        return f"sha256:{self._hash.hexdigest()}"

    def reopened(self) -> BinaryIO:
        """Open it, finished, to read it."""
        return open(self._temporary, "rb")

    def keep(self, expected: str = "") -> str:
        """Put it among the blobs; return its digest.

        Raises:
            LabError: its bytes don't have the digest `expected`.
        """
        digest = self.digest
        if expected and digest != expected:
            raise LabError(f"store the blob {expected}", f"its bytes have the digest {digest}")
        self.finish()
        os.rename(self._temporary, blob_path(digest))
        return digest

    def finish(self) -> None:
        """Say that no more comes: the file needs not stay open, which would limit how many blobs
        can be on their way."""
        if not self._file.closed:
            os.fchmod(self._file.fileno(), 0o644)
            self._file.close()

    def close(self) -> None:
        if not self.closed:
            self.finish()
            Path(self._temporary).unlink(missing_ok=True)
            self._lock.close()
        super().close()


class Verified(io.RawIOBase):
    """A blob read as a stream. Its bytes are verified once all are read: who uses them before must
    be ready to throw away what came of them.

    Raises:
        LabError: by `read` at the end: the bytes don't have the digest.
    """

    def __init__(self, digest: str) -> None:
        try:
            self._file = open(blob_path(digest), "rb")  # noqa: SIM115 - closed by `close`
        except FileNotFoundError:
            raise _missing(digest) from None
        self._digest = digest
        self._hash = hashlib.sha256()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        count = self._file.readinto(buffer)
        if count:
            self._hash.update(memoryview(buffer)[:count])
        else:
            _check(self._digest, self._hash)
        return count

    def finish(self) -> None:
        """Read what is left, and so verify all."""
        while self.read(1 << 20):
            pass

    def close(self) -> None:
        self._file.close()
        super().close()


def _check(digest: str, found: Any) -> None:
    if f"sha256:{found.hexdigest()}" != digest:
        raise LabError(
            f"read the blob {digest}",
            f"its bytes have the digest sha256:{found.hexdigest()}",
            "the file was changed or damaged",
            "remove it and make the image again",
        )


def tag(name: str, manifest: str) -> None:
    """Let `name` mean the image with that manifest digest; "" keeps the image without a name.

    Raises:
        LabError: `name` is no reference, or one of the image's parts isn't in the store.
    """
    from labrt.images import references

    name = str(references.parse(name)) if name else ""
    with _locked():
        if not name and manifest in (entry.digest for entry in entries()):
            return
        for part in parts(manifest):  # nobody collects garbage now
            if not blob_path(part).exists():
                raise LabError(f"name the image {manifest}", f"its part {part} isn't here")
        annotations = {REF_NAME: name} if name else {}
        descriptor = {**described(manifest).to_json(), "annotations": annotations}
        replaced = [entry for entry in entries() if entry == ("", manifest) or entry.name == name]
        _write_index([*_without(replaced if name else ()), descriptor])


def names() -> list[str]:
    """Return the names of all images."""
    return sorted(entry.name for entry in entries() if entry.name)


def resolve(wanted: str) -> Image:
    """Find an image by its name, its digest, or the digest's unique beginning.

    Raises:
        LabError: there is none, or several begin like this; one of its parts is damaged.
    """
    entry = found(wanted)
    return load(entry.name or entry.digest, entry.digest)


def load(name: str, digest: str) -> Image:
    """Return the image with that manifest digest, to be called `name`.

    Raises:
        LabError: one of its parts is missing or damaged.
    """
    config, layers = _manifest(digest, _file(digest, f"the manifest {digest}"))
    what = f"the configuration of {digest}"
    return Image(name, digest, _config(config, _file(config, what), what, len(layers)), layers)


# What documents say is worked out once, for each start of a container asks. A blob says the same as
# long as it is there unchanged, for its digest is its name.
_kept = lru_cache(maxsize=64)


@_kept
def _manifest(digest: str, file: tuple[int, ...]) -> tuple[str, tuple[Descriptor, ...]]:
    """Return the digest of the configuration that a manifest names, and its layers."""
    manifest = documents.read(get(digest), f"the manifest {digest}")
    layers = (Descriptor.from_json(each.value, each.what) for each in manifest.objects("layers"))
    return manifest.object("config").text("digest"), tuple(layers)


@_kept
def _config(digest: str, file: tuple[int, ...], what: str, layers: int) -> dict[str, Any]:
    return configuration(documents.read(get(digest), what), layers)


def configuration(config: Document, layers: int) -> dict[str, Any]:
    """Return the configuration of an image of so many layers, if what is used of it is as it must
    be.

    Raises:
        LabError: it isn't.
    """
    diff_ids = config.object("rootfs").texts("diff_ids")
    for diff_id in diff_ids:
        check_digest(diff_id)
    most = documents.MOST_LAYERS
    if len(diff_ids) != layers or layers > most:
        answer = f"it tells of {len(diff_ids)} layers, the manifest of {layers}; {most} may be"
        raise LabError(f"read {config.what}", answer, "a damaged or hostile image")
    return {**config.value, "config": _settings(config)}


def _settings(config: Document) -> dict[str, Any]:
    """Return what the configuration says of the program, each of the type that it must have."""
    if not config.has("config"):
        return {}
    settings = config.object("config")
    for key in filter(settings.has, ("User", "WorkingDir", "StopSignal")):
        settings.text(key)
    for key in filter(settings.has, ("Cmd", "Entrypoint", "Env")):
        settings.texts(key)
    for key in filter(settings.has, ("ExposedPorts", "Labels")):
        settings.object(key)
    if settings.has("Volumes"):
        settings.names("Volumes")
    if settings.has("Healthcheck"):
        _check_health(settings.object("Healthcheck"))
    return settings.value


def _check_health(told: Document) -> None:
    if told.has("Test"):
        told.texts("Test")
    if told.has("Retries"):
        told.number("Retries")
    for key in filter(told.has, _TIMES.values()):
        if 0 < told.number(key) < _SHORTEST_TIME:  # the launcher would do nothing else
            answer = f"{key} is shorter than a millisecond"
            raise LabError(f"read {told.what}", answer, "a damaged or hostile image")


def _file(digest: str, what: str) -> tuple[int, ...]:
    """Return what tells a blob's file from any other and, changed, from itself. It must be a
    document; it may be so large that it isn't even looked at."""
    try:
        found = os.stat(blob_path(digest))
    except FileNotFoundError:
        raise _missing(digest) from None
    if found.st_size > documents.LARGEST:
        answer = f"it has {found.st_size} bytes; images have {documents.LARGEST}"
        raise LabError(f"read {what}", answer)
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


def _document(digest: str, what: str) -> Document:
    _file(digest, what)
    return documents.read(get(digest), what)


def _index() -> bytes:
    """Return index.json, or an empty one where there is none yet."""
    try:
        return paths.read_bytes(f"{folder()}/index.json")
    except FileNotFoundError:
        return b'{"manifests": []}'


def _descriptors(index: bytes) -> list[dict[str, Any]]:
    """Return the descriptors in index.json, each with annotations."""
    found = []
    for entry in documents.read(index, "index.json of the store").objects("manifests"):
        check_digest(entry.text("digest"))
        annotations = entry.object("annotations").value if entry.has("annotations") else {}
        found.append({**entry.value, "annotations": annotations})
    return found


@contextmanager
def _locked(file: str = "lock", how: int = fcntl.LOCK_EX) -> Iterator[None]:
    """Keep other writers of index.json out (flock(2)).

    Raises:
        BlockingIOError: others are in, and `how` says not to wait.
    """
    paths.make(folder())
    with paths.locked(folder() / file, how):
        yield


class Entry(NamedTuple):
    """What index.json says of an image: its name, "" for none, and its manifest's digest."""

    name: str
    digest: str


def entries() -> list[Entry]:
    """Return what index.json refers to."""
    return list(_entries(_index()))


@_kept
def _entries(index: bytes) -> tuple[Entry, ...]:
    return tuple(map(_entry, _descriptors(index)))


def _entry(descriptor: dict[str, Any]) -> Entry:
    return Entry(descriptor["annotations"].get(REF_NAME, ""), descriptor["digest"])


def found(wanted: str) -> Entry:
    """Find what index.json says of an image, which may be damaged; as `resolve`.

    Raises:
        LabError: there is none, or several begin like this.
    """
    known = {entry.name: entry for entry in entries() if entry.name}
    if wanted in known:
        return known[wanted]
    for name in spellings(wanted):
        if name in known:
            return known[name]
    return _by_digest(wanted)


def spellings(wanted: str) -> list[str]:
    """Return what an image that people call so may be called here; a digest is no name."""
    from labrt.images import references  # only now: it takes 1 ms to import

    try:
        return references.names(wanted)
    except LabError:
        return []


def _by_digest(wanted: str) -> Entry:
    begins = f"sha256:{wanted.removeprefix('sha256:')}"
    alike = {each.digest: each for each in entries() if each.digest.startswith(begins)}
    if len(alike) == 1 and len(begins) >= _SHORTEST:
        return next(iter(alike.values()))
    tried = f"find the image {wanted!r}"
    if len(alike) > 1 and len(begins) >= _SHORTEST:
        raise LabError(tried, "several digests begin like this", remedy="say more of it")
    from labrt.images import references

    reference = references.parse(wanted)
    raise LabError(
        tried,
        "no such image in the store",
        f"known here: {', '.join(names()) or 'none'}",
        f"labrt pull {wanted}" if reference.registry else "./lab setup builds busybox",
    )


def untag(*gone: Entry) -> None:
    """Let the index refer no more to these; content to find them gone. Blobs are gc's business."""
    with _locked():
        _write_index(_without(gone))


def described(manifest: str) -> Descriptor:
    """Return the descriptor of an image's manifest.

    Raises:
        LabError: it is missing or damaged.
    """
    found = _document(manifest, f"the manifest {manifest}")
    media_type = found.text("mediaType") if found.has("mediaType") else MANIFEST
    return Descriptor(media_type, manifest, blob_path(manifest).stat().st_size)


def parts(manifest: str) -> list[str]:
    """Return the digests of what an image's manifest names: its configuration, then its layers,
    lowest first.

    Raises:
        LabError: it is missing or damaged.
    """
    found = _document(manifest, f"the manifest {manifest}")
    return [each.text("digest") for each in (found.object("config"), *found.objects("layers"))]


@contextmanager
def adding() -> Iterator[None]:
    """Keep the collector of garbage out (flock(2)), from an image's first blob until the index
    refers to it: until then nothing does. Any number may add at the same time."""
    with _locked("writers", fcntl.LOCK_SH):
        yield


@contextmanager
def collecting() -> Iterator[None]:
    """Keep other collectors of garbage out."""
    with _locked("collector"):
        yield


@contextmanager
def alone(patience: float = 10.0) -> Iterator[None]:
    """Keep everybody out who adds an image or writes the index.

    Args:
        patience: for how many seconds to wait until nobody adds.

    Raises:
        LabError: somebody still does.
    """
    deadline = time.monotonic() + patience
    with ExitStack() as locks:
        while not _entered_alone(locks):
            if time.monotonic() > deadline:
                raise LabError(
                    "have the store of images alone",
                    "a pull, a build or a load is at work",
                    remedy="wait for its end",
                )
            time.sleep(0.02)
        locks.enter_context(_locked())
        yield


def _entered_alone(locks: ExitStack) -> bool:
    try:
        locks.enter_context(_locked("writers", fcntl.LOCK_EX | fcntl.LOCK_NB))
    except BlockingIOError:
        return False
    return True


def _without(gone: Sequence[Entry]) -> list[dict[str, Any]]:
    return [descriptor for descriptor in _descriptors(_index()) if _entry(descriptor) not in gone]


def _write_index(descriptors: list[dict[str, Any]]) -> None:
    index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": descriptors}
    paths.write_whole(folder() / "oci-layout", LAYOUT)
    paths.write_whole(folder() / "index.json", json.dumps(index, indent=2).encode())
