"""Downloads: a blob comes from a registry into the store, or stays half-made to be gone on with.

What has come lies in LAB_HOME/images/partial/DIGEST, locked by who fetches it. A new try asks for
the rest (Range, RFC 9110 §14.2), and the whole is verified before the store sees it.
"""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from labrt import paths
from labrt.errors import LabError
from labrt.images import store
from labrt.images.registry_api import Registry, pulling
from labrt.images.store import Descriptor
from labrt.images.transfer import Progress
from labrt.images.wire import TRIES, Broken, whole

_CHUNK = 1 << 18  # bytes


def fetch(registry: Registry, repository: str, blob: Descriptor, progress: Progress) -> None:
    """Put a blob into the store, if it isn't there.

    Raises:
        LabError: it didn't come, or isn't what its descriptor says. What has come is kept where
            it may be part of the blob.
    """
    if is_stored(blob):
        progress.end(blob, "here already")
        return
    with _partial(blob) as (path, file):
        if not is_stored(blob):  # unless somebody else has brought it meanwhile
            _Download(registry, repository, blob, file, progress).complete()
            os.fchmod(file.fileno(), 0o644)
            paths.make(store.blob_path(blob.digest).parent)
            os.rename(path, store.blob_path(blob.digest))
    progress.end(blob, "pulled")


def is_stored(blob: Descriptor) -> bool:
    """Whether the store has it; whoever uses it verifies it."""
    try:
        return store.blob_path(blob.digest).stat().st_size == blob.size
    except FileNotFoundError:
        return False


@contextmanager
def _partial(blob: Descriptor) -> Iterator[tuple[Path, io.BufferedRandom]]:
    """Give the file of what has come so far, ours alone; an empty one doesn't stay."""
    path = store.folder() / "partial" / store.blob_path(blob.digest).name
    paths.make(path.parent)
    with _locked(path) as file:
        try:
            yield path, file
        finally:
            if os.fstat(file.fileno()).st_size == 0:
                path.unlink(missing_ok=True)


@contextmanager
def _locked(path: Path) -> Iterator[io.BufferedRandom]:
    while True:
        with open(paths.lock(path), "r+b") as file:
            if _is_at(path, file):
                yield file
                return
        # who had the lock has moved the file into the store, or removed it: once more


def _is_at(path: Path, file: io.BufferedRandom) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(file.fileno()))
    except FileNotFoundError:
        return False


@dataclass(frozen=True)
class _Download:
    """One blob on its way into one file."""

    registry: Registry
    repository: str
    blob: Descriptor
    file: io.BufferedRandom
    progress: Progress

    def complete(self) -> None:
        """Fetch until the file is the blob; if its first part was wrong, fetch all anew, once."""
        resumed = self._end() > 0
        self._fetch_rest()
        if resumed and self._digest() != self.blob.digest:
            self.file.truncate(0)
            self._fetch_rest()
        if (found := self._digest()) != self.blob.digest:
            self.file.truncate(0)
            raise LabError(self._tried, f"what came has the digest {found}")

    @property
    def _tried(self) -> str:
        return f"pull the blob {self.blob.digest}"

    def _end(self) -> int:
        return self.file.seek(0, os.SEEK_END)

    def _digest(self) -> str:
        self.file.seek(0)
        return f"sha256:{hashlib.file_digest(self.file, 'sha256').hexdigest()}"

    def _fetch_rest(self) -> None:
        for left in range(TRIES - 1, -1, -1):
            have = self._end()
            self.progress.begin(self.blob, have)
            try:
                return self._append(have) if have != self.blob.size else None
            except Broken as broken:
                if not left:
                    remedy = "pull again: it goes on from where it stopped"
                    raise LabError(broken.tried, broken.answer, broken.cause, remedy) from None

    def _append(self, have: int) -> None:
        """Append what the file lacks.

        Raises:
            Broken: the connection ended before; the file holds what is worth keeping.
            LabError: the server refuses, or sends more than the blob is long.
        """
        url = f"/v2/{self.repository}/blobs/{self.blob.digest}"
        wanted = {"Range": f"bytes={have}-"} if have else {}
        with self.registry.open("GET", url, pulling(self.repository), wanted) as response:
            if response.status not in (200, 206, 416):
                self.registry.require(whole(response), 200, 206)
            goes_on = response.headers.get("Content-Range", "").startswith(f"bytes {have}-")
            if have and not (response.status == 206 and goes_on):
                have = self._start_over()
            if response.status == 416 or (response.status == 206 and not goes_on):
                raise Broken(self._tried, "the server sent another part of it")
            for chunk in response.stream(_CHUNK):
                have += len(chunk)
                self._write(chunk, have)
        self.file.flush()
        if have < self.blob.size:
            raise Broken(self._tried, f"it ended after {have} of {self.blob.size} bytes")

    def _start_over(self) -> int:
        self.file.seek(0)
        self.file.truncate()
        self.progress.begin(self.blob, 0)
        return 0

    def _write(self, chunk: bytes, have: int) -> None:
        if have > self.blob.size:
            self._start_over()
            raise LabError(self._tried, f"it is longer than the {self.blob.size} bytes announced")
        self.file.write(chunk)
        self.progress.moved(self.blob, len(chunk))
