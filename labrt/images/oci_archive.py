"""oci-archive: an OCI image layout in a tar file, as skopeo and `podman save` write it.

    oci-layout      {"imageLayoutVersion": "1.0.0"}
    index.json      the images, with their names as annotations
    blobs/sha256/…  manifests, configurations and layers

https://github.com/opencontainers/image-spec/blob/main/image-layout.md
"""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator, Sequence
from typing import IO, BinaryIO, cast

from labrt.errors import LabError
from labrt.images import manifests, store
from labrt.images.archives import Archive
from labrt.images.arriving import Arriving
from labrt.images.documents import Document
from labrt.images.making import canonical
from labrt.images.manifests import Manifest
from labrt.images.store import Descriptor, Entry

INDEX = "index.json"
_NAMES = ("io.containerd.image.name", store.REF_NAME)  # Docker's REF_NAME is the tag alone


def take(archive: Archive, arriving: Arriving) -> Iterator[Entry]:
    """Take in each image of the archive; of one for several platforms, this host's.

    Yields:
        Its name, "" for none, and its digest.

    Raises:
        LabError: a part of it is missing, or isn't what it should be.
    """
    for described in archive.document(INDEX).objects("manifests"):
        manifest = _manifest(archive, arriving, Descriptor.from_json(described.value))
        blobs = (manifest.config, *manifest.layers)
        for blob in blobs:
            _add(archive, arriving, blob)
        arriving.verify(archive.read(member(manifest.config.digest)), manifest.layers)
        yield Entry(_name(described), manifest.descriptor.digest)


def _manifest(archive: Archive, arriving: Arriving, described: Descriptor) -> Manifest:
    data = archive.read(member(described.digest))
    found = manifests.read(data, described.media_type)
    if not isinstance(found, Manifest):
        described = found.choose(manifests.parse_platform(""))
        data = archive.read(member(described.digest))
        found = manifests.read(data, described.media_type)
    if not isinstance(found, Manifest):
        raise LabError(f"take in {described.digest}", "an index in an index", "a hostile archive")
    _add(archive, arriving, described)
    return found


def _add(archive: Archive, arriving: Arriving, blob: Descriptor) -> None:
    with archive.open(member(blob.digest)) as stream:
        taken = arriving.add(stream, blob.media_type, blob.digest)
    if taken.size != blob.size:
        raise LabError(f"take in {blob.digest}", f"it has {taken.size} bytes, not {blob.size}")


def _name(described: Document) -> str:
    if not described.has("annotations"):
        return ""
    notes = described.object("annotations")
    return next((notes.text(key) for key in _NAMES if notes.has(key)), "")


def member(digest: str) -> str:
    """Return what the member with a blob is called."""
    return f"blobs/sha256/{store.blob_path(digest).name}"


def write(stream: IO[bytes], images: Sequence[Entry], **more: bytes) -> None:
    """Write images; the same images give the same bytes.

    Args:
        more: other documents of the archive, by name without ".json".

    Raises:
        LabError: a part of an image is missing or damaged.
    """
    listed = [_described(image) for image in images]
    index = canonical({"schemaVersion": 2, "mediaType": store.INDEX, "manifests": listed})
    files = {INDEX: index, "oci-layout": store.LAYOUT}
    files |= {f"{name}.json": data for name, data in more.items()}
    digests = {image.digest for image in images}
    digests |= {part for digest in digests for part in store.parts(digest)}
    with tarfile.open(fileobj=stream, mode="w|", format=tarfile.PAX_FORMAT) as archive:
        for folder in ("blobs", "blobs/sha256"):
            _put(archive, folder, tarfile.DIRTYPE, 0o755)
        for digest in sorted(digests):
            with store.Verified(digest) as blob:
                size = store.blob_path(digest).stat().st_size
                _put(archive, member(digest), tarfile.REGTYPE, 0o644, size, cast(BinaryIO, blob))
                blob.finish()
        for name, data in sorted(files.items()):
            _put(archive, name, tarfile.REGTYPE, 0o644, len(data), io.BytesIO(data))


def _described(entry: Entry) -> dict[str, object]:
    named = {"annotations": {store.REF_NAME: entry.name}} if entry.name else {}
    return {**store.described(entry.digest).to_json(), **named}


def _put(
    archive: tarfile.TarFile,
    name: str,
    kind: bytes,
    mode: int,
    size: int = 0,
    data: IO[bytes] | None = None,
) -> None:
    member = tarfile.TarInfo(name)
    member.type, member.mode, member.size = kind, mode, size
    archive.addfile(member, data)
