"""Garbage: what nothing in the store of images refers to any more.

A walk from the roots marks what is referred to; the rest is swept. The roots are the images that
index.json names, those that containers (running or not) were made from, and what the build cache
remembers. From there on every digest counts that a manifest or a configuration mentions, also the
digests of uncompressed layers, after which the unpacked folders are called.

It happens while nobody adds an image (`store.alone`): a blob that has just arrived isn't referred
to yet. A container may start meanwhile: a layer's folder is moved away first, and goes only if then
still no container's record names it; so none ever gets a layer that is being removed.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from labrt import paths, state
from labrt.images import store
from labrt.images.documents import LARGEST

_DIGEST = re.compile(rb"sha256:[0-9a-f]{64}")
_GONE = ".new-gone-"  # as a half-written thing: the next collection finds it, if this one dies


class Garbage(NamedTuple):
    """What it was ("blob", "layer", "half-written", "partial", "cache"), where, and its bytes."""

    kind: str
    path: Path
    size: int


def collect(cache: bool = False, dry_run: bool = False) -> list[Garbage]:
    """Remove what nothing refers to.

    Args:
        cache: forget the build cache, and so what only that refers to.
        dry_run: only look.

    Returns:
        What is gone, or would be.

    Raises:
        LabError: an image is being added and is not done for 10 seconds.
    """
    with store.collecting():
        with store.alone():
            kept = marked(_roots(cache))
            found = [*_cache(cache), *_partial(), *_blobs(kept), *_layers(kept)]
            if dry_run:
                return found
            gone = [(each, aside) for each in found if (aside := _taken(each))]
        for _, aside in gone:  # big trees, for which nobody else needs to wait
            if aside.is_dir():
                state.remove_tree(aside)
    return [each for each, _ in gone]


def marked(roots: Iterable[str]) -> set[str]:
    """Return all digests that can be reached from the given ones."""
    found: set[str] = set()
    todo = list(roots)
    while todo:
        digest = todo.pop()
        if digest not in found:
            found.add(digest)
            todo += _mentioned(store.blob_path(digest))
    return found


def _roots(no_cache: bool) -> set[str]:
    roots = {entry.digest for entry in store.entries()}
    for folder in state.folders():
        if record := state.read_record(folder):
            roots.add(record.spec.image_digest)
    for file in [] if no_cache else _cache_files():
        roots.update(_digests(file.read_bytes()))
    return {root for root in roots if _DIGEST.fullmatch(root.encode())}


def _mentioned(blob: Path) -> set[str]:
    """Return the digests in a blob, if it is JSON; a layer isn't."""
    try:
        with open(blob, "rb") as stream:
            return _digests(stream.read(LARGEST)) if stream.read(1) == b"{" else set()
    except FileNotFoundError:
        return set()


def _digests(text: bytes) -> set[str]:
    return {each.decode() for each in _DIGEST.findall(text)}


def _cache_files() -> list[Path]:
    return sorted((store.folder() / "cache").glob("[!.]*"))


def _cache(forget: bool) -> list[Garbage]:
    return [Garbage("cache", file, file.stat().st_size) for file in _cache_files() if forget]


def _partial() -> list[Garbage]:
    """What has come of blobs that nobody fetches any more; who does has locked the file."""
    found = []
    for file in sorted((store.folder() / "partial").glob("*")):
        if (lock := state.lock_file(file, wait=False)) is not None:
            found.append(Garbage("partial", file, os.fstat(lock).st_size))
            os.close(lock)
    return found


def _blobs(kept: set[str]) -> list[Garbage]:
    """Nobody writes now, so what is half-written was left by who died."""
    half = [*store.folder().glob(".new-*"), *_blob_folder().glob(".new-*")]
    left = [file for file in _blob_folder().glob("[!.]*") if f"sha256:{file.name}" not in kept]
    found = [("half-written", file) for file in half] + [("blob", file) for file in left]
    return [Garbage(kind, file, file.stat().st_size) for kind, file in sorted(found)]


def _blob_folder() -> Path:
    return store.folder() / "blobs" / "sha256"


def _layers(kept: set[str]) -> list[Garbage]:
    """Of images that are gone, with none of their containers left."""
    used = _used_layers()
    found = []
    for folder in sorted((paths.home() / "layers").glob("*")):
        digest = ":".join(folder.name.split("-")[:2])
        if folder.name.startswith(".new-"):
            found.append(Garbage("half-written", folder, _bytes(folder)))
        elif digest not in kept and str(folder) not in used:
            found.append(Garbage("layer", folder, _bytes(folder)))
    return found


def _used_layers() -> set[str]:
    records = filter(None, map(state.read_record, state.folders()))
    return {layer for record in records for layer in record.spec.root.layers}


def _bytes(folder: Path) -> int:
    """A file with several names counts once; what this user may not look into doesn't count."""
    sizes = {}
    for here, _, names in os.walk(folder):
        for name in names:
            found = os.lstat(os.path.join(here, name))
            sizes[found.st_dev, found.st_ino] = found.st_size
    return sum(sizes.values())


def _taken(garbage: Garbage) -> Path | None:
    """Take it out of the store; return where it is now, None where it stays."""
    if garbage.path.is_file():
        garbage.path.unlink()
        return garbage.path
    aside = garbage.path.with_name(f"{_GONE}{os.urandom(4).hex()}")
    os.rename(garbage.path, aside)
    if str(garbage.path) in _used_layers():
        os.rename(aside, garbage.path)  # a container came to use it just now
        return None
    return aside
