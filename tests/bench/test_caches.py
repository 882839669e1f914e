"""bench/caches.py: what was read from the disk is in RAM, and then it isn't."""

from __future__ import annotations

import mmap
import os
from pathlib import Path

import pytest

from bench import caches

needs_root = pytest.mark.skipif(
    caches.unavailable() is not None, reason=f"caches: {caches.unavailable()}"
)


def test_whoever_may_not_drop_them_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(caches, "DROP", tmp_path / "nothing")
    assert "run with sudo" in (caches.unavailable() or "")


@needs_root
def test_a_file_that_was_read_is_cold_afterwards() -> None:
    file = Path(f"/var/tmp/lab-cold-{os.getpid()}")
    try:
        file.write_bytes(b"x" * 4 * 2**20)
        assert in_memory(file) == 4 * 2**20 // mmap.PAGESIZE
        caches.drop()
        assert in_memory(file) == 0
    finally:
        file.unlink()


def in_memory(file: Path) -> int:
    """Return how many of a file's pages are in the page cache (mincore(2))."""
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    size = file.stat().st_size
    with file.open("r+b") as stream, mmap.mmap(stream.fileno(), size) as mapped:
        seen = (ctypes.c_ubyte * (size // mmap.PAGESIZE))()
        at = (ctypes.c_char * 1).from_buffer(mapped)
        assert libc.mincore(ctypes.c_void_p(ctypes.addressof(at)), ctypes.c_size_t(size), seen) == 0
        del at
        return sum(page & 1 for page in seen)
