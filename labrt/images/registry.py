"""Images from and to a registry: `pull` and `push`.

An image is in the store, or in the registry, when its name is; that comes last. What was there
before by digest doesn't travel.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass

from labrt.errors import LabError
from labrt.images import downloads, logins, manifests, references, store, uploads
from labrt.images.manifests import ACCEPTED, LARGEST, Index, Manifest
from labrt.images.references import Reference
from labrt.images.registry_api import Registry, connected, pulling, pushing
from labrt.images.store import Descriptor, Image
from labrt.images.transfer import Progress, at_once
from labrt.images.wire import Access, printable


@dataclass(frozen=True)
class Pushed:
    """What a push came to, in bytes of the blobs and of the manifest.

    Attributes:
        reference: the image's name in the registry.
        digest: of its manifest, as here.
        sent: what the registry hadn't.
        mounted: what it took from another of its repositories.
        skipped: what the repository had already.
    """

    reference: str
    digest: str
    sent: int
    mounted: int
    skipped: int


def pull(
    reference: str,
    access: Access = Access(),  # noqa: B008 - it is frozen
    platform: str = "",
    progress: Progress = Progress(),  # noqa: B008 - it has no state
) -> Image:
    """Fetch an image into the store, under its full name.

    Args:
        platform: OS/ARCHITECTURE[/VARIANT] to choose from an index; "" is this host's.

    Raises:
        LabError: no such image, or it isn't what it should be. The name then means what it meant
            before.
    """
    wanted = references.parse(reference).remote()
    suited = manifests.parse_platform(platform)
    with (
        store.adding(),
        connected(wanted.registry, access, logins.find(wanted.registry)) as registry,
    ):
        manifest = _manifest(registry, wanted, wanted.version)
        if isinstance(manifest, Index):
            manifest = _chosen(registry, wanted, manifest.choose(suited))

        def fetch(blob: Descriptor, told: Progress) -> None:
            downloads.fetch(registry, wanted.repository, blob, told)

        fetch(manifest.config, progress)
        config = store.get(manifest.config.digest)
        manifests.check_config(config, manifest, suited, asked=bool(platform))
        at_once(fetch, tuple(dict.fromkeys(manifest.layers)), progress)
        store.tag(str(wanted), store.put(manifest.data))
    return store.resolve(str(wanted))


def push(
    image: Image,
    reference: str = "",
    access: Access = Access(),  # noqa: B008 - it is frozen
    progress: Progress = Progress(),  # noqa: B008 - it has no state
) -> Pushed:
    """Send an image of the store to a registry.

    Args:
        reference: where to, and what it is to be called there; "" is the image's name.

    Raises:
        LabError: the registry refuses it, or a blob is damaged. The name there then means what it
            meant before.
    """
    target = references.parse(reference or image.name).remote()
    if target.digest not in ("", image.digest):
        raise LabError(f"push {image.name} as {target}", f"its digest is {image.digest}")
    manifest = _stored(image)
    blobs = tuple(dict.fromkeys(manifest.blobs))
    elsewhere = _elsewhere(target)
    with connected(target.registry, access, logins.find(target.registry)) as registry:

        def send(blob: Descriptor, told: Progress) -> str:
            source = elsewhere.get(blob.digest, "")
            return uploads.send(registry, target.repository, blob, source, told)

        ways = at_once(send, blobs, progress)
        _put_manifest(registry, target, manifest)
    sizes = {way: 0 for way in (uploads.SENT, uploads.MOUNTED, uploads.THERE)}
    for blob, way in zip(blobs, ways, strict=True):
        sizes[way] += blob.size
    sent = sizes[uploads.SENT] + manifest.descriptor.size
    return Pushed(str(target), image.digest, sent, sizes[uploads.MOUNTED], sizes[uploads.THERE])


def _manifest(registry: Registry, wanted: Reference, version: str) -> Manifest | Index:
    """Ask for a manifest by tag or digest.

    Raises:
        LabError: there is none, it is none, or its digest is another than asked for or told.
    """
    url = f"/v2/{wanted.repository}/manifests/{version}"
    scopes = pulling(wanted.repository)
    asked = registry.ask("GET", url, scopes, {"Accept": ACCEPTED}, limit=LARGEST)
    answer = registry.require(asked, 200)
    found = f"sha256:{hashlib.sha256(answer.body).hexdigest()}"
    told = answer.headers.get("Docker-Content-Digest", "")
    for digest in (version, told):
        if digest.startswith("sha256:") and digest != found:
            raise LabError(
                f"pull {wanted}",
                f"the manifest {printable(digest, 71)} that came has the digest {found}",
            )
    media_type = answer.headers.get("Content-Type", "").partition(";")[0].strip()
    return manifests.read(answer.body, media_type)


def _chosen(registry: Registry, wanted: Reference, chosen: Descriptor) -> Manifest:
    """Ask for the manifest that an index names."""
    manifest = _manifest(registry, wanted, chosen.digest)
    if isinstance(manifest, Index):
        raise LabError(f"pull {wanted}", "its index names another index")
    if manifest.descriptor.size != chosen.size:
        raise LabError(f"pull {wanted}", f"the manifest {chosen.digest} hasn't the size announced")
    return manifest


def _put_manifest(registry: Registry, target: Reference, manifest: Manifest) -> None:
    url = f"/v2/{target.repository}/manifests/{target.version}"
    headers = {"Content-Type": manifest.descriptor.media_type}
    answer = registry.ask("PUT", url, pushing(target.repository), headers, manifest.data)
    digest = manifest.descriptor.digest
    told = registry.require(answer, 201).headers.get("Docker-Content-Digest", digest)
    if told != digest:
        raise LabError(f"push {target}", f"the registry calls it {printable(told, 71)}")


def _stored(image: Image) -> Manifest:
    data = store.get(image.digest)
    manifest = manifests.read(data, json.loads(data).get("mediaType", store.MANIFEST))
    assert isinstance(manifest, Manifest), "the store holds no indexes"
    return manifest


def _elsewhere(target: Reference) -> dict[str, str]:
    """Return for each blob, by digest, another repository of the registry that may have it: one
    whose image the store has by its name there."""
    found: dict[str, str] = {}
    for name in store.names():
        other = references.parse(name)
        if other.registry == target.registry and other.repository != target.repository:
            blobs = _stored(store.resolve(name)).blobs
            found |= {blob.digest: other.repository for blob in blobs}
    return found
