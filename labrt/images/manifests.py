"""Manifests: what a registry says an image consists of, read with distrust.

An image manifest names a configuration and layers; an index names an image manifest for each
platform. Docker's own forms of both (https://distribution.github.io/distribution/spec/manifest-v2-2/)
differ from OCI's by their types alone, and stay as they are: so do their digests.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from labrt.errors import LabError
from labrt.images import compression, documents, making, store
from labrt.images.documents import Document
from labrt.images.store import Descriptor

_DOCKER = "application/vnd.docker.distribution.manifest"
_IMAGES = (store.MANIFEST, f"{_DOCKER}.v2+json")
_INDEXES = (store.INDEX, f"{_DOCKER}.list.v2+json")
_CONFIGS = (store.CONFIG, "application/vnd.docker.container.image.v1+json")
ACCEPTED = ", ".join((*_IMAGES, *_INDEXES))
LARGEST = documents.LARGEST  # bytes of a manifest or a configuration


@dataclass(frozen=True)
class Platform:
    """What an image is for, as Go names it: linux/amd64, linux/arm64/v8."""

    os: str
    architecture: str
    variant: str = ""

    def __str__(self) -> str:
        return "/".join(filter(None, (self.os, self.architecture, self.variant)))

    def suits(self, wanted: Platform) -> bool:
        """Whether it is what is wanted; a variant matters only to who wants one."""
        same = (self.os, self.architecture) == (wanted.os, wanted.architecture)
        return same and wanted.variant in ("", self.variant)

    @staticmethod
    def from_json(found: Document) -> Platform:
        keys = ("os", "architecture", "variant")
        return Platform(*(str(found.value.get(key, "")) for key in keys))


def parse_platform(text: str) -> Platform:
    """Read OS/ARCHITECTURE[/VARIANT]; "" is this host's.

    Raises:
        LabError: it isn't of that form.
    """
    parts = text.split("/") if text else ["linux", making.architecture()]
    if len(parts) not in (2, 3) or not all(part.isalnum() for part in parts):
        raise LabError(f"read the platform {text!r}", "not OS/ARCHITECTURE", remedy="linux/amd64")
    return Platform(*parts)


@dataclass(frozen=True)
class Manifest:
    """An image manifest: its bytes as they came, and what they name."""

    descriptor: Descriptor
    data: bytes
    config: Descriptor
    layers: tuple[Descriptor, ...]

    @property
    def blobs(self) -> tuple[Descriptor, ...]:
        return (*self.layers, self.config)


@dataclass(frozen=True)
class Index:
    """An index: an image manifest for each platform."""

    images: tuple[tuple[Platform, Descriptor], ...]

    def choose(self, wanted: Platform) -> Descriptor:
        """Return the first that suits.

        Raises:
            LabError: none does; which there are.
        """
        for offered, descriptor in self.images:
            if offered.suits(wanted):
                return descriptor
        known = {
            ascii(str(each))[1:-1] for each, _ in self.images if each.os not in ("", "unknown")
        }
        there = ", ".join(sorted(known)) or "nothing"
        raise LabError(
            f"find the image for {wanted}", f"there is one for: {there[:300]}", remedy="--platform"
        )


def read(data: bytes, media_type: str) -> Manifest | Index:
    """Read a manifest.

    Args:
        media_type: what the server calls it; what the manifest calls itself must be the same.

    Raises:
        LabError: it is none of those the lab knows.
    """
    content = documents.read(data, "the image's manifest")
    if content.value.get("schemaVersion") == 1:
        raise _refused("it is of Docker's schema 1, which names no digests of an image")
    told = content.text("mediaType") if content.has("mediaType") else media_type
    if told != media_type:
        raise _refused(f"it is {told!r:.200}, and the registry calls it {media_type!r:.200}")
    if media_type in _INDEXES:
        return Index(tuple(map(_offered, content.objects("manifests"))))
    if media_type in _IMAGES:
        return _image(data, content, media_type)
    raise _refused(f"its type is {media_type!r:.200}")


def check_config(data: bytes, manifest: Manifest, wanted: Platform, asked: bool) -> None:
    """See whether a configuration is that of the manifest's image, and for this platform.

    Args:
        asked: whether the user named the platform.

    Raises:
        LabError: it isn't.
    """
    config = documents.read(data, "the image's configuration")
    store.configuration(config, len(manifest.layers))
    offered = Platform.from_json(config)
    if (offered.os, offered.architecture) not in (("", ""), (wanted.os, wanted.architecture)):
        there = ascii(str(offered))[1:61]
        remedy = "" if asked else f"--platform {there}, to have it all the same"
        raise LabError(f"find the image for {wanted}", f"it is for {there}", remedy=remedy)


def _image(data: bytes, content: Document, media_type: str) -> Manifest:
    config, *layers = map(_descriptor, (content.object("config"), *content.objects("layers")))
    if config.media_type not in _CONFIGS:
        raise _refused(f"no image, but something of the type {config.media_type!r:.200}")
    if config.size > LARGEST:
        raise _refused(f"its configuration has more than {LARGEST} bytes")
    for layer in layers:
        compression.kind(layer.media_type)  # refuses what the lab can't unpack
    digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
    return Manifest(Descriptor(media_type, digest, len(data)), data, config, tuple(layers))


def _offered(entry: Document) -> tuple[Platform, Descriptor]:
    offered = entry.object("platform") if entry.has("platform") else Document(entry.what, {})
    return Platform.from_json(offered), _descriptor(entry)


def _descriptor(found: Document) -> Descriptor:
    return Descriptor.from_json(found.value, found.what)


def _refused(why: str) -> LabError:
    return LabError("read the image's manifest", why)
