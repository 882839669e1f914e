"""Blobs that arrive together: all of them become the store's, or none does.

An archive may turn out to be damaged or hostile at its last byte. What came before waits beside the
blobs, and is put among them when all has been verified.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from types import TracebackType
from typing import IO, Self

from labrt.errors import LabError
from labrt.images import compression, documents, sniffing, store
from labrt.images.store import Descriptor, Incoming

MOST = 8 << 30  # bytes that one archive may bring, and as many when its layers are uncompressed
_PIECE = 1 << 20  # bytes


class Arriving:
    """A context manager. What wasn't kept when its block ends is gone; until then no garbage is
    collected (`store.adding`), so that the block can go on to name an image."""

    def __init__(self) -> None:
        self._block = ExitStack()
        self._blobs: dict[str, Incoming] = {}
        self._diff_ids: dict[str, str] = {}
        self._packed, self._plain = Budget(MOST), Budget(MOST)

    def __enter__(self) -> Self:
        self._block.enter_context(store.adding())
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._block.close()

    def add(self, stream: IO[bytes], media_type: str, expected: str = "") -> Descriptor:
        """Take a blob in.

        Raises:
            LabError: it hasn't the digest `expected`, or all is more than `MOST` bytes.
        """
        blob = self._blobs.get(expected) or self._written(stream)
        if expected and blob.digest != expected:
            raise LabError(f"take in {expected}", f"its bytes have the digest {blob.digest}")
        self._blobs.setdefault(blob.digest, blob)
        return Descriptor(media_type, blob.digest, blob.size)

    def _written(self, stream: IO[bytes]) -> Incoming:
        blob = self._block.enter_context(Incoming())
        for piece in self._packed.pieces(stream):
            blob.write(piece)
        blob.finish()
        return blob

    def verify(self, config: bytes, layers: Sequence[Descriptor]) -> None:
        """See whether layers, uncompressed, are what an image's configuration says.

        Raises:
            LabError: they aren't, or can't be uncompressed; all are more than `MOST` bytes; the
                configuration isn't as it must be.
        """
        read = documents.read(config, "an image's configuration")
        told = store.configuration(read, len(layers))
        for layer, diff_id in zip(layers, told["rootfs"]["diff_ids"], strict=True):
            if (found := self._diff_id(layer)) != diff_id:
                answer = f"uncompressed it is {found}; the configuration says {diff_id!r}"
                raise LabError(f"take in the layer {layer.digest}", answer)

    def _diff_id(self, layer: Descriptor) -> str:
        if layer.digest not in self._diff_ids:
            found = hashlib.sha256()
            with (
                sniffing.damage_told(f"the layer {layer.digest}"),
                self._blobs[layer.digest].reopened() as packed,
                compression.reading(packed, layer.media_type) as plain,
            ):
                for piece in self._plain.pieces(plain):
                    found.update(piece)
            self._diff_ids[layer.digest] = f"sha256:{found.hexdigest()}"
        return self._diff_ids[layer.digest]

    def keep(self) -> None:
        """Put all of them among the store's blobs."""
        for digest, blob in self._blobs.items():
            blob.keep(digest)


class Budget:
    """How many bytes may still be read, of streams that may be bombs."""

    def __init__(self, left: int) -> None:
        self._left = left

    def pieces(self, stream: IO[bytes]) -> Iterator[bytes]:
        """Yield what a stream holds.

        Raises:
            LabError: it is more than is left.
        """
        while piece := stream.read(_PIECE):
            self._left -= len(piece)
            if self._left < 0:
                raise LabError("read an archive", f"it holds more than {MOST} bytes", "a bomb")
            yield piece
