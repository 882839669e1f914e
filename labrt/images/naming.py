"""Names of images in the store, given and taken away. What a name is, `references.py` says; an
image is also found by its digest, or the digest's beginning."""

from __future__ import annotations

from labrt import state
from labrt.errors import LabError
from labrt.images import store
from labrt.images.store import Entry


def short(digest: str) -> str:
    """Return a digest's first 12 digits, as people compare them; "" of ""."""
    return digest.removeprefix("sha256:")[:12]


def tag(wanted: str, name: str) -> None:
    """Give an image one more name; who had that name loses it.

    Raises:
        LabError: there is no such image, or the name is none.
    """
    store.tag(name, store.found(wanted).digest)


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
    entry = store.found(wanted)
    same = [each for each in store.entries() if each.digest == entry.digest]
    gone = [entry] if entry.name in store.spellings(wanted) else same
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
