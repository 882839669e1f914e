"""Members of a tar archive that may be hostile (pax(1), tar(5)).

A header may promise more than there is: a name of gigabytes (which tarfile would read into memory),
a sparse file of exabytes made of nothing. Such are refused as soon as their header is seen.
"""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from typing import Self

_MOST = 1_000_000
_LONGEST_HEADER = 1 << 20  # bytes; of names, links and extended attributes
_HEADERS = (
    tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
    tarfile.XHDTYPE,
    tarfile.XGLTYPE,
    tarfile.SOLARIS_XHDTYPE,
)


class Member(tarfile.TarInfo):
    """For `tarfile.open(…, tarinfo=Member)`."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        """Read a header.

        Raises:
            tarfile.ReadError: it announces what no honest archive has.
        """
        member = super().frombuf(buf, encoding, errors)
        if member.type in _HEADERS and member.size > _LONGEST_HEADER:
            raise tarfile.ReadError(f"a header of {member.size} bytes")
        if member.size < 0:
            raise tarfile.ReadError(f"a member of {member.size} bytes")
        return member


def each(archive: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    """Yield the members of an archive.

    Raises:
        tarfile.TarError: it is damaged, or what no honest archive is.
    """
    for count, member in enumerate(archive):
        if member.issparse():
            raise tarfile.ReadError(f"{member.name!r} is a sparse file")
        if count >= _MOST:
            raise tarfile.ReadError(f"more than {_MOST} members")
        yield member
