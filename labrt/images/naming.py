"""Names of images: given, found and taken away.

A name may be followed by a tag ("web:v2"), and the tag "latest" may be left out, as may the
registry and folder that Docker takes for granted: docker.io/library/busybox:latest is "busybox"
here. A name may come from a hostile archive, and ends up on a terminal.

https://github.com/opencontainers/distribution-spec/blob/main/spec.md#pulling-manifests
"""

from __future__ import annotations

import re

from labrt import state
from labrt.errors import LabError
from labrt.images import store
from labrt.images.store import Entry, Image

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*(?:[:/][A-Za-z0-9_][A-Za-z0-9._-]*)*")
_LONGEST = 255  # bytes
_DIGEST = re.compile(r"(?:sha256:)?([0-9a-f]{4,64})")


def familiar(name: str) -> str:
    """Return a name as the lab says it, short.

    Raises:
        LabError: it is no image's name.
    """
    if len(name) > _LONGEST or not _NAME.fullmatch(name):
        raise LabError(f"call an image {name!r}", "not a name", remedy="see docs/images.md")
    for granted in ("docker.io/library/", "docker.io/"):
        name = name.removeprefix(granted)
    return name.removesuffix(":latest")


def full(name: str) -> str:
    """Return a name with its tag, as other tools want it."""
    return name if ":" in name.rpartition("/")[2] else f"{name}:latest"


def find(wanted: str) -> Image:
    """Find an image by its name, its digest, or the digest's unique beginning.

    Raises:
        LabError: there is none, or several begin like this; it is damaged.
    """
    return load(found(wanted))


def load(entry: Entry) -> Image:
    """Return an image that the index refers to.

    Raises:
        LabError: one of its parts is missing or damaged.
    """
    return store.load(entry.name or entry.digest, entry.digest)


def short(digest: str) -> str:
    """Return a digest's first 12 digits, as people compare them; "" of ""."""
    return digest.removeprefix("sha256:")[:12]


def found(wanted: str) -> Entry:
    """Find what the index says of an image; as `find`, but the image may be damaged.

    Raises:
        LabError: there is none, or several begin like this.
    """
    by_name = {entry.name: entry for entry in store.entries() if entry.name}
    if entry := by_name.get(wanted) or by_name.get(_familiar_or_none(wanted)):
        return entry
    return _by_digest(wanted)


def _familiar_or_none(wanted: str) -> str:
    try:
        return familiar(wanted)
    except LabError:
        return ""


def _by_digest(wanted: str) -> Entry:
    match = _DIGEST.fullmatch(wanted)
    begins = f"sha256:{match[1]}" if match else "no digest"
    known = {each.digest: each for each in store.entries() if each.digest.startswith(begins)}
    if len(known) == 1:
        return next(iter(known.values()))
    answer = "several begin like this" if known else "no such image in the store"
    raise LabError(f"find the image {wanted!r}", answer, remedy="labrt images lists them")


def tag(wanted: str, name: str) -> None:
    """Give an image one more name; who had that name loses it.

    Raises:
        LabError: there is no such image, or the name is none.
    """
    store.tag(familiar(name), found(wanted).digest)


def remove(wanted: str, force: bool = False) -> list[str]:
    """Take an image's name away; by its digest, the image with all its names.

    Its blobs and layers stay until garbage is collected, for other images may share them.

    Args:
        force: also where containers use it (they keep what they need of it), and where a digest has
            several names.

    Returns:
        The names and digests that are gone.

    Raises:
        LabError: there is no such image, or it isn't to be removed without `force`.
    """
    entry = found(wanted)
    same = [each for each in store.entries() if each.digest == entry.digest]
    by_digest = _DIGEST.fullmatch(wanted) and wanted != entry.name
    gone = same if by_digest else [entry]
    if not force:
        _refuse_if_used(wanted, gone, same)
    store.untag(*gone)
    return [each.name or each.digest for each in gone]


def _refuse_if_used(wanted: str, gone: list[Entry], same: list[Entry]) -> None:
    tried, remedy = f"remove the image {wanted}", "--force"
    if len(gone) > 1:
        answer = f"it has several names: {', '.join(each.name for each in gone)}"
        raise LabError(tried, answer, remedy=remedy)
    used = users(gone[0].digest) if len(same) == 1 else []
    if used:
        raise LabError(
            tried, f"containers use it: {', '.join(used)}", remedy=f"labrt rm, or {remedy}"
        )


def users(digest: str) -> list[str]:
    """Return the ids of the containers, running or not, that were made from an image."""
    records = ((folder.name, state.read_record(folder)) for folder in state.folders())
    return [name for name, record in records if record and record.spec.image_digest == digest]
