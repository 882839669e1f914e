"""Making an image: archives become layers, a configuration and a manifest name them
(https://github.com/opencontainers/image-spec/blob/main/manifest.md)."""

from __future__ import annotations

import hashlib
import io
import json
import platform
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import IO, Any, BinaryIO, cast

from labrt.images import store
from labrt.images.store import Descriptor, Image

PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# Python's names → Go's, which OCI took.
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


@dataclass(frozen=True)
class Layer:
    """A layer of the store: its blob, and the digest of its archive before compression."""

    blob: Descriptor
    diff_id: str


def make(name: str, archive: bytes, config: dict[str, Any]) -> Image:
    """Put an image of one layer into the store and name it.

    Args:
        archive: a tar archive.
        config: the OCI image configuration, but for its `rootfs`.
    """
    with store.adding():
        return image(name, [layer(lambda stream: stream.write(archive))], config)


def architecture() -> str:
    """Return this machine's, as images name it."""
    machine = platform.machine()
    return _ARCHITECTURES.get(machine, machine)


def config(command: Sequence[str] = ()) -> dict[str, Any]:
    """Return the configuration of an image for this machine that runs `command`.

    It is the image's Cmd rather than its Entrypoint, so that `labrt run IMAGE echo hello` replaces
    it.
    """
    settings: dict[str, Any] = {"Env": [PATH]}
    if command:
        settings |= {"WorkingDir": "/", "Cmd": list(command)}
    return {"architecture": architecture(), "os": "linux", "config": settings}


def layer(write: Callable[[IO[bytes]], object], media_type: str = store.LAYER_GZIP) -> Layer:
    """Put a layer into the store; hold `store.adding` until an image of it is named.

    Args:
        write: writes its tar archive into the stream it is given.
    """
    from labrt.images import compression  # only now: it takes 10 ms to import

    with store.Incoming() as blob:
        with compression.writing(cast(BinaryIO, blob), media_type) as packed:
            archive = _Hashing(packed)
            write(cast(BinaryIO, archive))
        digest = blob.keep()
        return Layer(Descriptor(media_type, digest, blob.size), archive.digest)


def layers(made: Image) -> list[Layer]:
    """Return the layers of an image, lowest first, to make another on top of them."""
    return [Layer(*pair) for pair in zip(made.layers, made.diff_ids, strict=True)]


def image(name: str, stack: Sequence[Layer], config: dict[str, Any]) -> Image:
    """Put an image of the given layers, lowest first, into the store and name it; "" names it not.

    Args:
        config: the OCI image configuration, but for its `rootfs`.
    """
    rootfs = {"type": "layers", "diff_ids": [each.diff_id for each in stack]}
    data = canonical({**config, "rootfs": rootfs, "history": _history(config, len(stack))})
    described = Descriptor(store.CONFIG, store.put(data), len(data))
    digest = store.put(manifest(described, [each.blob for each in stack]))
    if name:
        store.tag(name, digest)
    return store.load(name, digest)


def _history(config: dict[str, Any], layers: int) -> list[dict[str, Any]]:
    """What the configuration tells of its layers, and of each that it doesn't tell of a word: other
    tools refuse an image that has more layers than its history (buildah: "history lists …")."""
    told = list(config.get("history") or ())
    count = sum(not each.get("empty_layer") for each in told)
    return told + [{"created_by": "labrt"}] * (layers - count)


def manifest(config: Descriptor, blobs: Sequence[Descriptor]) -> bytes:
    """Return the manifest of an image: what of the store belongs to it."""
    return canonical(
        {
            "schemaVersion": 2,
            "mediaType": store.MANIFEST,
            "config": config.to_json(),
            "layers": [each.to_json() for each in blobs],
        }
    )


def canonical(value: object) -> bytes:
    """Return JSON that is the same for the same value, and so has the same digest."""
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


class _Hashing(io.RawIOBase):
    """Passes on what is written, and knows its digest."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._hash = hashlib.sha256()

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._hash.update(data)
        return self._stream.write(data)

    @property
    def digest(self) -> str:
        return f"sha256:{self._hash.hexdigest()}"
