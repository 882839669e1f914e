"""The store: an OCI image layout, where every blob is named by the digest of its bytes.

    LAB_HOME/images/
        oci-layout          {"imageLayoutVersion": "1.0.0"}
        index.json          name → manifest digest
        blobs/sha256/…      manifests, configs and layers

https://github.com/opencontainers/image-spec/blob/main/image-layout.md
"""

from __future__ import annotations

import fcntl
import hashlib
import io
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from labrt import paths
from labrt.errors import LabError
from labrt.images import documents
from labrt.images.documents import Document

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER_TAR = "application/vnd.oci.image.layer.v1.tar"
LAYER_GZIP = f"{LAYER_TAR}+gzip"
LAYER_ZSTD = f"{LAYER_TAR}+zstd"
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
    return folder() / "blobs" / "sha256" / digest.removeprefix("sha256:")


def check_digest(digest: str) -> None:
    """Refuse what isn't "sha256:" and 64 hexadecimal digits.

    Raises:
        LabError: it isn't.
    """
    algorithm, _, value = digest.partition(":")
    if algorithm != "sha256" or len(value) != 64 or set(value) - set("0123456789abcdef"):
        raise LabError(f"find the blob {digest!r}", "not a sha256 digest", "a damaged manifest")


def put(data: bytes) -> str:
    """Store a blob; return its digest. Written aside and renamed, so never seen half-made."""
    digest = "sha256:" + hashlib.sha256(data).hexdigest()
    path = blob_path(digest)
    if not path.exists():
        _write_whole(path, data)
    return digest


def get(digest: str) -> bytes:
    """Return a blob, verified.

    Raises:
        LabError: it is missing, or its bytes don't have that digest.
    """
    try:
        data = blob_path(digest).read_bytes()
    except FileNotFoundError:
        raise LabError(f"read the blob {digest}", "it isn't in the store") from None
    _check(digest, hashlib.sha256(data))
    return data


class Incoming(io.RawIOBase):
    """A blob on its way into the store, of any size. Leaving its `with` block without `keep`
    leaves nothing."""

    def __init__(self) -> None:
        import tempfile  # only now: it takes 3 ms, and few commands write

        parent = folder() / "blobs" / "sha256"
        parent.mkdir(parents=True, exist_ok=True)
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

    def keep(self, expected: str = "") -> str:
        """Put it among the blobs; return its digest.

        Raises:
            LabError: its bytes don't have the digest `expected`.
        """
        digest = f"sha256:{self._hash.hexdigest()}"
        if expected and digest != expected:
            raise LabError(f"store the blob {expected}", f"its bytes have the digest {digest}")
        self._file.flush()
        os.fchmod(self._file.fileno(), 0o644)
        os.rename(self._temporary, blob_path(digest))
        return digest

    def close(self) -> None:
        if not self.closed:
            self._file.close()
            Path(self._temporary).unlink(missing_ok=True)
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
            raise LabError(f"read the blob {digest}", "it isn't in the store") from None
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
    """Let `name` mean the image with that manifest digest."""
    descriptor = {
        "mediaType": MANIFEST,
        "digest": manifest,
        "size": len(get(manifest)),
        "annotations": {REF_NAME: name},
    }
    with _locked():
        others = [entry for entry in _index() if entry["annotations"].get(REF_NAME) != name]
        index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": [*others, descriptor]}
        _write_whole(folder() / "oci-layout", b'{"imageLayoutVersion":"1.0.0"}')
        _write_whole(folder() / "index.json", json.dumps(index, indent=2).encode())


def names() -> list[str]:
    """Return the names of all images."""
    return sorted(entry["annotations"][REF_NAME] for entry in _index())


def resolve(name: str) -> Image:
    """Find an image by name.

    Raises:
        LabError: no such image, or one of its parts is damaged.
    """
    for entry in _index():
        if entry["annotations"].get(REF_NAME) == name:
            return load(name, entry["digest"])
    raise LabError(
        f"find the image {name!r}",
        "no such image in the store",
        f"known here: {', '.join(names()) or 'none'}",
        "./lab setup builds busybox",
    )


def load(name: str, digest: str) -> Image:
    """Return the image with that manifest digest, to be called `name`.

    Raises:
        LabError: one of its parts is missing or damaged.
    """
    manifest = _document(digest, f"the manifest {digest}")
    described = manifest.object("config")
    config = _document(described.text("digest"), f"the configuration of {digest}")
    layers = [Descriptor.from_json(each.value, each.what) for each in manifest.objects("layers")]
    diff_ids = config.object("rootfs").texts("diff_ids")
    for diff_id in diff_ids:
        check_digest(diff_id)
    most = documents.MOST_LAYERS
    if len(diff_ids) != len(layers) or len(layers) > most:
        answer = f"it has {len(layers)} layers of {most}, its configuration {len(diff_ids)}"
        raise LabError(f"read {manifest.what}", answer, "a damaged or hostile image")
    return Image(name, digest, {**config.value, "config": _settings(config)}, tuple(layers))


def _settings(config: Document) -> dict[str, Any]:
    """Return what the configuration says of the program, each of the type that it must have."""
    if not config.has("config"):
        return {}
    settings = config.object("config")
    for key in filter(settings.has, ("User", "WorkingDir", "StopSignal")):
        settings.text(key)
    for key in filter(settings.has, ("Cmd", "Entrypoint", "Env")):
        settings.texts(key)
    for key in filter(settings.has, ("ExposedPorts", "Volumes", "Labels", "Healthcheck")):
        settings.object(key)
    return settings.value


def _document(digest: str, what: str) -> Document:
    """Read a blob that must be a document; it may be so large that it isn't even looked at."""
    try:
        size = blob_path(digest).stat().st_size
    except FileNotFoundError:
        size = 0  # `get` tells it
    if size > documents.LARGEST:
        raise LabError(f"read {what}", f"it has {size} bytes; images have {documents.LARGEST}")
    return documents.read(get(digest), what)


def _index() -> list[dict[str, Any]]:
    """Return the descriptors in index.json, each with annotations."""
    try:
        index = documents.read((folder() / "index.json").read_bytes(), "index.json of the store")
    except FileNotFoundError:
        return []
    found = []
    for entry in index.objects("manifests"):
        check_digest(entry.text("digest"))
        annotations = entry.object("annotations").value if entry.has("annotations") else {}
        found.append({**entry.value, "annotations": annotations})
    return found


@contextmanager
def _locked() -> Iterator[None]:
    """Keep other writers of index.json out (flock(2))."""
    folder().mkdir(parents=True, exist_ok=True)
    with open(folder() / "lock", "w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _write_whole(path: Path, data: bytes) -> None:
    import tempfile  # only now: it takes 3 ms, and few commands write

    path.parent.mkdir(parents=True, exist_ok=True)
    fd, temporary = tempfile.mkstemp(dir=path.parent, prefix=".new-")
    try:
        with os.fdopen(fd, "wb") as handle:
            handle.write(data)
            os.fchmod(fd, 0o644)
        os.rename(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
