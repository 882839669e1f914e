"""Interchange: images as one file, for other tools and other machines; which form a file has is
found by looking into it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from labrt.errors import LabError
from labrt.images import archives, docker_archive, oci_archive, references, store
from labrt.images.archives import Archive
from labrt.images.arriving import Arriving
from labrt.images.store import Entry

WRITERS = {"docker-archive": docker_archive.write, "oci-archive": oci_archive.write}


def load(path: str) -> list[Entry]:
    """Take in all images of an archive: all of them, or none.

    Args:
        path: of the file; `archives.STREAM` is standard input.

    Raises:
        LabError: it is damaged, hostile or no such archive.
    """
    with Arriving() as arriving, archives.reading(path) as archive:
        found = [_named(entry) for entry in _form(archive)(archive, arriving)]
        arriving.keep()
        for entry in found:
            store.tag(*entry)
    return found


def _form(archive: Archive) -> Callable[[Archive, Arriving], Iterator[Entry]]:
    if oci_archive.INDEX in archive:
        return oci_archive.take
    if docker_archive.MANIFEST in archive:
        return docker_archive.take
    answer = f"neither {oci_archive.INDEX} nor {docker_archive.MANIFEST} is in it"
    raise LabError("load the archive", answer, "no archive of images", "labrt import takes others")


def _named(entry: Entry) -> Entry:
    return entry._replace(name=str(references.parse(entry.name)) if entry.name else "")


def save(path: str, wanted: Sequence[str], form: str) -> None:
    """Write images into an archive; the same images give the same bytes.

    Args:
        path: of the file; `archives.STREAM` is standard output.
        wanted: names, or digests.
        form: one of `WRITERS`.

    Raises:
        LabError: there is no such image, or it is damaged; then no file is left.
    """
    images = [store.found(each) for each in wanted]
    with archives.target(path) as stream:
        WRITERS[form](stream, images)
