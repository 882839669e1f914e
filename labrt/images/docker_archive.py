"""docker-archive: what `docker save` writes.

    manifest.json   [{"Config": …, "RepoTags": [names], "Layers": [tar archives, lowest first]}]

Docker 25 and later write an OCI image layout as well, and manifest.json leads to its blobs. So does
the lab: then an image keeps its digest. Older ones, and other tools, write no more than the
configuration and plain tar archives; such an image gets a manifest here.

https://github.com/moby/docker-image-spec/blob/main/spec.md#combined-image-json--filesystem-changeset-format
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Sequence
from typing import IO

from labrt.images import documents, making, oci_archive, references, sniffing, store
from labrt.images.archives import Archive
from labrt.images.arriving import Arriving
from labrt.images.documents import Document
from labrt.images.store import Descriptor, Entry

MANIFEST = "manifest.json"
_HEX = re.compile(r"(?<![0-9a-f])[0-9a-f]{64}(?![0-9a-f])")


def take(archive: Archive, arriving: Arriving) -> Iterator[Entry]:
    """Take in each image of an archive without an OCI image layout.

    Yields:
        Its names, "" for none, and its digest.

    Raises:
        LabError: a part of it is missing, or isn't what it should be.
    """
    listed = b'{"images": %s}' % archive.read(MANIFEST)  # documents are objects; this is a list
    for image in documents.read(listed, f"{MANIFEST} of the archive").objects("images"):
        digest = _take_one(archive, arriving, image)
        tags = image.texts("RepoTags") if image.has("RepoTags") else []
        yield from (Entry(tag, digest) for tag in tags or [""])


def _take_one(archive: Archive, arriving: Arriving, image: Document) -> str:
    name = image.text("Config")
    data = archive.read(name)
    config = arriving.add(io.BytesIO(data), store.CONFIG, _promised(name))
    layers = [_layer(archive, arriving, each) for each in image.texts("Layers")]
    arriving.verify(data, layers)
    manifest = making.manifest(config, layers)
    return arriving.add(io.BytesIO(manifest), store.MANIFEST).digest


def _promised(name: str) -> str:
    """Return the digest after which a file is called, "" for none."""
    found = _HEX.search(name)
    return f"sha256:{found[0]}" if found else ""


def _layer(archive: Archive, arriving: Arriving, name: str) -> Descriptor:
    """Its blob stays as it is, compressed or not, and so has the same digest everywhere."""
    with archive.open(name) as stream:
        kind = sniffing.media_type(stream.peek(sniffing.LONGEST))
        return arriving.add(stream, kind)


def write(stream: IO[bytes], images: Sequence[Entry]) -> None:
    """Write images, in both forms; the same images give the same bytes.

    Raises:
        LabError: a part of an image is missing or damaged.
    """
    names: dict[str, list[str]] = {}
    for image in images:
        names.setdefault(image.digest, []).append(image.name)
    listed = [_listed(digest, of_it) for digest, of_it in names.items()]
    oci_archive.write(stream, images, manifest=making.canonical(listed))


def _listed(digest: str, names: Sequence[str]) -> dict[str, object]:
    config, *layers = (oci_archive.member(part) for part in store.parts(digest))
    return {"Config": config, "RepoTags": list(_tags(names)), "Layers": layers}


def _tags(names: Sequence[str]) -> Iterator[str]:
    """Docker wants the tag said."""
    for reference in map(references.parse, filter(None, names)):
        if not reference.digest:
            yield f"{reference.base}:{reference.tag}"
