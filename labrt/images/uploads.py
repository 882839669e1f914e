"""Uploads: a blob goes from the store to a registry, by the shortest way there is
(distribution-spec, "Pushing blobs").

A blob that is there already isn't sent; one that another repository of the registry has is mounted
from it; any other is sent, and after a broken connection from where the registry says it stopped.
"""

from __future__ import annotations

import io
import re
from dataclasses import dataclass
from typing import IO, Any, cast

from labrt.errors import LabError
from labrt.images import store
from labrt.images.downloads import is_stored
from labrt.images.registry_api import Registry, pulling, pushing
from labrt.images.store import Descriptor
from labrt.images.transfer import Progress
from labrt.images.wire import TRIES, Answer, Broken, joined, shown

_CHUNK = 1 << 18  # bytes
SENT, MOUNTED, THERE = "sent", "mounted", "there already"


def send(
    registry: Registry, repository: str, blob: Descriptor, elsewhere: str, progress: Progress
) -> str:
    """Let the registry have a blob; return which way: `SENT`, `MOUNTED` or `THERE`.

    Args:
        elsewhere: a repository that may have it, "" for none.

    Raises:
        LabError: the registry refuses it, or the store's own is damaged.
    """
    upload = _Upload(registry, repository, blob, progress)
    if upload.is_there():
        how = THERE
    elif elsewhere and upload.mount(elsewhere):
        how = MOUNTED
    else:
        upload.complete()
        how = SENT
    progress.end(blob, how)
    return how


@dataclass(frozen=True)
class _Upload:
    """One blob on its way into one repository."""

    registry: Registry
    repository: str
    blob: Descriptor
    progress: Progress

    def is_there(self) -> bool:
        url = f"/v2/{self.repository}/blobs/{self.blob.digest}"
        answer = self.registry.ask("HEAD", url, pushing(self.repository))
        return self.registry.require(answer, 200, 404).status == 200

    def mount(self, elsewhere: str) -> bool:
        """Whether the registry took it from its other repository. If not, it has begun an upload,
        which nobody goes on with: it was allowed for reading elsewhere, which a token for the rest
        needn't be."""
        scopes = pushing(self.repository) | pulling(elsewhere)
        url = f"{self._uploads}?mount={self.blob.digest}&from={elsewhere}"
        answer = self.registry.ask("POST", url, scopes)
        return self.registry.require(answer, 201, 202).status == 201

    def complete(self) -> None:
        if not is_stored(self.blob):
            raise LabError(f"push the blob {self.blob.digest}", "the store hasn't got it whole")
        location, offset = self._begin(), 0
        for left in range(TRIES - 1, -1, -1):
            try:
                location = self._send_rest(location, offset)
                return self._finish(location)
            except Broken as broken:
                if not left:
                    told = (broken.tried, broken.answer, broken.cause)
                    raise LabError(*told, remedy="push again") from None
            if self.is_there():  # the registry had all, and its answer was lost
                return
            location, offset = self._where_it_stopped(location)

    @property
    def _uploads(self) -> str:
        return f"/v2/{self.repository}/blobs/uploads/"

    def _ask(self, method: str, target: str, **more: Any) -> Answer:
        return self.registry.ask(method, target, pushing(self.repository), **more)

    def _begin(self) -> str:
        return _location(self.registry.require(self._ask("POST", self._uploads), 202))

    def _where_it_stopped(self, location: str) -> tuple[str, int]:
        """Ask how many bytes the upload has; one that the registry gave up begins anew."""
        answer = self._ask("GET", location)
        reached = re.fullmatch(r"(?:bytes=)?0-([0-9]{1,18})", answer.headers.get("Range", ""))
        if answer.status != 204 or not reached or int(reached[1]) >= self.blob.size:
            return self._begin(), 0
        if reached[1] == "0":  # nothing, or one byte: registries don't agree
            return self._begin(), 0
        return _location(answer), int(reached[1]) + 1

    def _send_rest(self, location: str, offset: int) -> str:
        """Send all from `offset` on, as one chunk; return where the upload goes on."""
        self.progress.begin(self.blob, offset)
        if offset == self.blob.size:
            return location
        headers = {
            "Content-Type": "application/octet-stream",
            "Content-Length": str(self.blob.size - offset),
            "Content-Range": f"{offset}-{self.blob.size - 1}",
        }
        with _Told(self.blob, offset, self.progress) as rest:
            answer = self._ask("PATCH", location, headers=headers, body=cast(IO[bytes], rest))
        if answer.status >= 500 or answer.status in (404, 416, 429):
            raise Broken(f"PATCH {shown(answer.url)}", f"the registry answers {answer.status}")
        return _location(self.registry.require(answer, 202))

    def _finish(self, location: str) -> None:
        mark = "&" if "?" in location else "?"
        answer = self._ask("PUT", f"{location}{mark}digest={self.blob.digest}")
        if answer.status == 404:  # a first try may have got through, its answer not
            raise Broken(f"PUT {shown(answer.url)}", "the registry knows nothing of this upload")
        self.registry.require(answer, 201)


def _location(answer: Answer) -> str:
    return joined(answer.url, answer.headers.get("Location", ""))


class _Told(io.RawIOBase):
    """A blob of the store from a byte on, verified while it is read, telling of it."""

    def __init__(self, blob: Descriptor, offset: int, progress: Progress) -> None:
        self._blob = blob
        self._progress = progress
        self._source = store.Verified(blob.digest)
        while offset:  # what was sent before counts for the digest
            offset -= len(self._source.read(min(offset, _CHUNK)) or b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        count = self._source.readinto(buffer)
        self._progress.moved(self._blob, count)
        return count

    def close(self) -> None:
        self._source.close()
        super().close()
