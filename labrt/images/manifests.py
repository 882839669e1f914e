"""Manifests: what a registry says an image consists of, read with distrust.

An image manifest names a configuration and layers; an index names an image manifest for each
platform. Docker's own forms of both (https://distribution.github.io/distribution/spec/manifest-v2-2/)
differ from OCI's by their types alone, and stay as they are: so do their digests.
"""

from __future__ import annotations

import hashlib
import json
import platform
from dataclasses import dataclass
from typing import Any

from labrt.errors import LabError
from labrt.images import compression, store
from labrt.images.base import ARCHITECTURES
from labrt.images.store import Descriptor

_DOCKER = "application/vnd.docker.distribution.manifest"
_IMAGES = (store.MANIFEST, f"{_DOCKER}.v2+json")
_INDEXES = (store.INDEX, f"{_DOCKER}.list.v2+json")
_CONFIGS = (store.CONFIG, "application/vnd.docker.container.image.v1+json")
ACCEPTED = ", ".join((*_IMAGES, *_INDEXES))
LARGEST = 4 << 20  # bytes of a manifest or a configuration; registries take no larger manifests


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
    def from_json(data: dict[str, Any]) -> Platform:
        return Platform(*(str(data.get(key, "")) for key in ("os", "architecture", "variant")))


def parse_platform(text: str) -> Platform:
    """Read OS/ARCHITECTURE[/VARIANT]; "" is this host's.

    Raises:
        LabError: it isn't of that form.
    """
    machine = platform.machine()
    parts = text.split("/") if text else ["linux", ARCHITECTURES.get(machine, machine)]
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
    content = _json_object(data, media_type)
    told = content.get("mediaType", media_type)
    if content.get("schemaVersion") == 1:
        raise _refused("it is of Docker's schema 1, which names no digests of an image")
    if told != media_type:
        raise _refused(f"it is {told!r:.200}, and the registry calls it {media_type!r:.200}")
    try:
        if media_type in _INDEXES:
            return Index(tuple(map(_offered, content["manifests"])))
        if media_type in _IMAGES:
            return _image(data, media_type, content)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise _refused(f"it is damaged at {error}") from None
    raise _refused(f"its type is {media_type!r:.200}")


def check_config(data: bytes, manifest: Manifest, wanted: Platform, asked: bool) -> None:
    """See whether a configuration is that of the manifest's image, and for this platform.

    Args:
        asked: whether the user named the platform.

    Raises:
        LabError: it isn't.
    """
    config = _json_object(data, manifest.config.media_type)
    rootfs = config.get("rootfs")
    diff_ids = rootfs.get("diff_ids") if isinstance(rootfs, dict) else None
    if not isinstance(diff_ids, list) or len(diff_ids) != len(manifest.layers):
        raise _refused(f"its configuration doesn't tell of {len(manifest.layers)} layers")
    for diff_id in diff_ids:
        store.blob_path(str(diff_id))  # refuses what is no digest
    _check_run_config(config.get("config", {}))
    offered = Platform.from_json(config)
    if (offered.os, offered.architecture) not in (("", ""), (wanted.os, wanted.architecture)):
        there = ascii(str(offered))[1:61]
        remedy = "" if asked else f"--platform {there}, to have it all the same"
        raise LabError(f"find the image for {wanted}", f"it is for {there}", remedy=remedy)


def _check_run_config(config: Any) -> None:
    """What the runtime reads of it has the form it should have, or is left out."""
    if not isinstance(config, dict):
        raise _refused("its configuration's config is no object")
    lists = [config.get(key) or [] for key in ("Env", "Entrypoint", "Cmd")]
    texts = [config.get(key) or "" for key in ("User", "WorkingDir")]
    if not all(isinstance(each, list) and all(map(_is_text, each)) for each in [texts, *lists]):
        raise _refused("its configuration's Env, Entrypoint, Cmd, User or WorkingDir is damaged")


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and "\0" not in value


def _image(data: bytes, media_type: str, content: dict[str, Any]) -> Manifest:
    config, *layers = map(_descriptor, (content["config"], *content["layers"]))
    if config.media_type not in _CONFIGS:
        raise _refused(f"no image, but something of the type {config.media_type!r:.200}")
    if config.size > LARGEST:
        raise _refused(f"its configuration has more than {LARGEST} bytes")
    for layer in layers:
        compression.kind(layer.media_type)  # refuses what the lab can't unpack
    digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
    return Manifest(Descriptor(media_type, digest, len(data)), data, config, tuple(layers))


def _offered(entry: dict[str, Any]) -> tuple[Platform, Descriptor]:
    return Platform.from_json(entry.get("platform") or {}), _descriptor(entry)


def _descriptor(data: dict[str, Any]) -> Descriptor:
    descriptor = Descriptor.from_json(data)
    if not isinstance(descriptor.media_type, str) or type(descriptor.size) is not int:
        raise ValueError("a descriptor")
    if descriptor.size < 0:
        raise ValueError("a size below 0")
    store.blob_path(descriptor.digest)  # refuses what is no digest
    return descriptor


def _json_object(data: bytes, media_type: str) -> dict[str, Any]:
    try:
        content = json.loads(data)
    except (ValueError, RecursionError):
        content = None
    if not isinstance(content, dict):
        raise _refused(f"no JSON object, but something of the type {media_type!r:.200}")
    return content


def _refused(why: str) -> LabError:
    return LabError("read the image's manifest", why)
