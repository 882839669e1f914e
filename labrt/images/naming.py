"""Names of images in the store: looked up, given and taken away (`labrt/images/references.py` says
what a name is). Where no name is meant, a digest may be, by its beginning."""

from __future__ import annotations

import re

from labrt import state
from labrt.errors import LabError
from labrt.images import references, store
from labrt.images.store import Entry, Image

_DIGEST = re.compile(r"(?:sha256:)?([0-9a-f]{4,64})")


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
    known = {entry.name: entry for entry in store.entries() if entry.name}
    for name in _spellings(wanted):
        if name in known:
            return known[name]
    return _by_digest(wanted)


def _spellings(wanted: str) -> list[str]:
    try:
        return references.names(wanted)
    except LabError:
        return []  # a digest, perhaps


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
    store.tag(name, found(wanted).digest)


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
    gone = [entry] if entry.name in _spellings(wanted) else same
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
