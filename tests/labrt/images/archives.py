"""tar archives made byte by byte, as no tar program would make them, and layers of them."""

from __future__ import annotations

import gzip
import hashlib
from dataclasses import dataclass

from labrt.images import base, making, store
from labrt.images.making import Layer
from labrt.images.store import Descriptor, Image

END = bytes(1024)


def member(
    name: bytes,
    kind: bytes = b"0",
    data: bytes = b"",
    link: bytes = b"",
    *,
    mode: bytes = b"0000755",
    uid: bytes = b"0000000",
    gid: bytes = b"0000000",
    size: bytes = b"",
    mtime: bytes = b"00000000000",
    prefix: bytes = b"",
    checksum: bytes = b"",
) -> bytes:
    """A header with its data; what isn't given is right."""
    size = size or b"%011o" % len(data)
    fields = (name, 100), (mode, 8), (uid, 8), (gid, 8), (size, 12), (mtime, 12)
    begin = b"".join(field.ljust(width, b"\0") for field, width in fields)
    middle = kind + link.ljust(100, b"\0") + b"ustar\x0000"
    end = bytes(80) + prefix.ljust(155, b"\0") + bytes(12)
    total = sum(begin) + sum(middle) + sum(end) + 8 * ord(" ")
    return begin + (checksum or b"%06o\0 " % total) + middle + end + data + bytes(-len(data) % 512)


def folder(name: bytes, **fields: bytes) -> bytes:
    return member(name, b"5", **fields)


def link(name: bytes, target: bytes) -> bytes:
    return member(name, b"2", link=target)


def hard_link(name: bytes, target: bytes) -> bytes:
    return member(name, b"1", link=target)


def pax(records: dict[bytes, bytes], kind: bytes = b"x") -> bytes:
    """An extended header; it says something of the member after it."""
    return member(b"pax", kind, b"".join(record(*pair) for pair in records.items()))


def record(key: bytes, value: bytes) -> bytes:
    rest = b" " + key + b"=" + value + b"\n"
    length = len(rest)
    while length != len(rest) + len(b"%d" % length):
        length = len(rest) + len(b"%d" % length)
    return b"%d" % length + rest


def long_name(name: bytes, kind: bytes = b"L") -> bytes:
    return member(b"././@LongLink", kind, name + b"\0")


def base256(number: int, width: int) -> bytes:
    """GNU's form of a number."""
    field = number.to_bytes(width, "big", signed=True)
    return field if number < 0 else bytes([0x80 | field[0]]) + field[1:]


@dataclass(frozen=True)
class Blob:
    """A layer's blob, and what its image says of it.

    Attributes:
        archive: whose digest is the diff_id.
        data: the blob; the archive itself where it is None.
        size: what the manifest says; the truth where it is None.
        found: what lies in the store under that digest instead.
    """

    archive: bytes
    data: bytes | None = None
    media_type: str = store.LAYER_TAR
    size: int | None = None
    found: bytes | None = None


def digest_of(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def image(*blobs: Blob | bytes) -> Image:
    """An image of these layers, lowest first; bytes are an archive without its end."""
    return making.image("it", [_layer(blob) for blob in blobs], {"config": {}})


def _layer(blob: Blob | bytes) -> Layer:
    if isinstance(blob, bytes):
        packed = gzip.compress(blob + END, 1)
        return Layer(
            Descriptor(store.LAYER_GZIP, store.put(packed), len(packed)), digest_of(blob + END)
        )
    data = blob.archive if blob.data is None else blob.data
    digest = store.put(data)
    if blob.found is not None:
        store.blob_path(digest).write_bytes(blob.found)
    size = len(data) if blob.size is None else blob.size
    return Layer(Descriptor(blob.media_type, digest, size), digest_of(blob.archive))


def on_busybox(*archives: bytes) -> Image:
    """The image "it": the base image busybox, and these archives on it, each without its end."""
    bottom = base.ensure("busybox")
    stack = [*making.layers(bottom), *map(_layer, archives)]
    return making.image("it", stack, bottom.config)
