"""labrt/images/compression.py: streams both ways, and nothing is taken for an end that is none."""

from __future__ import annotations

import gzip
import io
import random
import struct
import zlib

import pytest
import zstandard

from labrt.images import compression, store

DATA = random.Random(1).randbytes(300_000) + bytes(300_000)
SKIPPABLE = struct.pack("<II", 0x184D2A50, 5) + b"extra"  # a frame of zstd that holds no data


def plain(packed: bytes, media_type: str) -> bytes:
    with compression.reading(io.BytesIO(packed), media_type) as stream:
        return stream.read()


@pytest.mark.parametrize("media_type", compression._KINDS)
def test_what_is_written_is_read(media_type: str) -> None:
    packed = io.BytesIO()
    with compression.writing(packed, media_type) as stream:
        stream.write(DATA)
    assert plain(packed.getvalue(), media_type) == DATA


@pytest.mark.parametrize(
    ("packed", "media_type"),
    [
        (gzip.compress(DATA[:9]) + gzip.compress(DATA[9:]), store.LAYER_GZIP),
        (zstandard.compress(DATA[:9]) + zstandard.compress(DATA[9:]), store.LAYER_ZSTD),
        (SKIPPABLE + zstandard.compress(DATA) + SKIPPABLE, store.LAYER_ZSTD),
    ],
    ids=["gzip members", "zstd frames", "zstd's skippable frames"],
)
def test_a_stream_may_have_parts(packed: bytes, media_type: str) -> None:
    """As images have them whose files can be fetched one by one."""
    assert plain(packed, media_type) == DATA


@pytest.mark.parametrize("cut", [1, 9, 1000])
@pytest.mark.parametrize("media_type", [store.LAYER_GZIP, store.LAYER_ZSTD])
def test_a_stream_cut_short_is_an_error(media_type: str, cut: int) -> None:
    packed = io.BytesIO()
    with compression.writing(packed, media_type) as stream:
        stream.write(DATA)
    with pytest.raises(EOFError):
        plain(packed.getvalue()[:-cut], media_type)


def test_a_bomb_is_never_whole_in_memory() -> None:
    class Counting(io.BytesIO):
        taken = 0

        def read(self, size: int | None = -1) -> bytes:
            data = super().read(size)
            self.taken += len(data)
            return data

    packed = Counting(zstandard.compress(bytes(1 << 28)))
    with compression.reading(packed, store.LAYER_ZSTD) as stream:
        assert stream.read(1) == b"\0"
        assert packed.taken <= 1024 < len(packed.getvalue())


@pytest.mark.parametrize(
    ("packed", "media_type", "error"),
    [
        (gzip.compress(DATA) + b"more", store.LAYER_GZIP, OSError),
        (gzip.compress(DATA)[:-8] + bytes(8), store.LAYER_GZIP, OSError),
        (b"\x1f\x8b\x08" + bytes(7) + b"\xff" * 99, store.LAYER_GZIP, zlib.error),
        (zstandard.compress(DATA) + b"more", store.LAYER_ZSTD, zstandard.ZstdError),
        (b"more", store.LAYER_ZSTD, zstandard.ZstdError),
    ],
)
def test_what_is_not_of_its_kind_is_an_error(
    packed: bytes, media_type: str, error: type[Exception]
) -> None:
    with pytest.raises(error):
        plain(packed, media_type)
