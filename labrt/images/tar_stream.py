"""tar, read as a stream of members: ustar, its extended headers of pax(1), and GNU's long names.

Python's tarfile trusts its archive: it keeps every member, reads an extended header of any size,
follows a chain of them by recursion, and a negative size leads it back to where it was. Here each
number has a bound, and whatever two programs could read in two ways is refused.

https://pubs.opengroup.org/onlinepubs/9799919799/utilities/pax.html#tag_20_94_13
https://www.gnu.org/software/tar/manual/html_node/Standard.html
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

from labrt.errors import LabError

FILE, HARD_LINK, LINK, FOLDER, FIFO = b"0", b"1", b"2", b"5", b"6"
DEVICES = (b"3", b"4")
_FILES = (FILE, b"\0", b"7")  # of 1979, and "contiguous"
_KINDS = (*_FILES, HARD_LINK, LINK, FOLDER, FIFO, *DEVICES)
_PAX, _PAX_GLOBAL, _LONG_NAME, _LONG_LINK, _SPARSE = b"x", b"g", b"L", b"K", b"S"

BLOCK = 512  # bytes
MAX_EXTENDED = 1 << 20  # bytes of one extended header, as in Go's archive/tar
_MAX_TIME = 1 << 62  # ns; the kernel's times are 64 bits
_MAX_ID = (1 << 32) - 2  # user_namespaces(7): the last one stands for nobody at all
_HEADER = struct.Struct("100s8s8s8s12s12s8sc100s6s2s32s32s8s8s155s12x")
_XATTR = b"SCHILY.xattr."


class Member(NamedTuple):
    """One entry of an archive.

    Attributes:
        kind: FILE, HARD_LINK, LINK, FOLDER, FIFO or one of DEVICES.
        size: of its data, in bytes.
        mtime: nanoseconds since 1970.
        link: what a link leads to.
        xattrs: name → value.
    """

    name: bytes
    kind: bytes
    mode: int
    uid: int
    gid: int
    size: int
    mtime: int
    link: bytes
    xattrs: dict[bytes, bytes]


def shown(name: bytes) -> str:
    """Return a name as it may be told on a terminal, shortened."""
    text = name.decode(errors="backslashreplace")
    text = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
    return text if len(text) <= 200 else f"{text[:200]}…"


class TarStream:
    """Reads an archive from a stream once, forwards.

    Raises:
        LabError: by each of its methods: it isn't tar, is damaged, or isn't to be trusted.
    """

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._left = 0  # bytes of the present member's data, and padding, not read yet

    def members(self) -> Iterator[Member]:
        """Yield each member; its data are to be read, by `data`, before the next one."""
        while block := self._block():
            extended: dict[bytes, bytes] = {}
            while block[156:157] in (_PAX, _PAX_GLOBAL, _LONG_NAME, _LONG_LINK):
                extended |= self._extension(block)
                if not (block := self._block()):
                    raise _damaged("an extended header is the last thing in it")
            member = _member(block, extended)
            self._left = member.size + -member.size % BLOCK
            yield member
            self._skip()
        while rest := self._stream.read(1 << 16):
            if rest.count(0) != len(rest):
                raise _damaged("there are other bytes after its end")

    def data(self, member: Member) -> Iterator[bytes]:
        """Yield a member's data in pieces."""
        left = member.size
        while left:
            piece = self._read(min(left, 1 << 20))
            left -= len(piece)
            self._left -= len(piece)
            yield piece

    def _block(self) -> bytes:
        """Return the next header, b"" at the archive's end, which is a block of zeros."""
        block = self._read(BLOCK)
        return b"" if block.count(0) == BLOCK else block

    def _read(self, size: int) -> bytes:
        data = self._stream.read(size)
        if len(data) < size:
            raise _damaged("its end is missing")
        return data

    def _skip(self) -> None:
        while self._left:
            self._left -= len(self._read(min(self._left, 1 << 20)))

    def _extension(self, block: bytes) -> dict[bytes, bytes]:
        """Read one extended header; return what it says, in the words of pax(1)."""
        header = _fields(block)
        size = _number(header[4], "a size")
        if not 0 <= size <= MAX_EXTENDED:
            raise _damaged(f"an extended header of {size} bytes")
        data = self._read(size + -size % BLOCK)[:size]
        if header[7] == _LONG_NAME:
            return {b"path": data.rstrip(b"\0")}
        if header[7] == _LONG_LINK:
            return {b"linkpath": data.rstrip(b"\0")}
        records = dict(_records(data))
        if header[7] == _PAX:
            return records
        # Some programs let it hold for all that follow, others not at all.
        if unclear := records.keys() - {b"comment"}:
            raise _damaged(f"a global header sets {shown(min(unclear))}")
        return {}


def _damaged(answer: str) -> LabError:
    return LabError("unpack the archive", answer, "it is damaged, hostile or no tar archive")


def _fields(block: bytes) -> tuple[bytes, ...]:
    fields = _HEADER.unpack(block)
    if _number(fields[6], "a checksum") != sum(block) - sum(fields[6]) + 8 * ord(" "):
        raise _damaged("a header's checksum is wrong")
    return fields


def _number(field: bytes, what: str) -> int:
    """Read octal digits or, where the top bit is set, GNU's form for larger ones: base 256."""
    if field[0] == 0xFF:
        return int.from_bytes(field, "big", signed=True)
    if field[0] & 0x80:
        return int.from_bytes(field, "big") - (0x80 << 8 * (len(field) - 1))
    text = field.partition(b"\0")[0].strip(b" ")
    return _digits(text, 8, what) if text else 0


def _digits(text: bytes, base: int, what: str) -> int:
    """Only digits: int() would take "1_0", too."""
    try:
        if len(text) <= 20 and text.isdigit():
            return int(text, base)
    except ValueError:
        pass
    raise _damaged(f"{what} of {shown(text)!r}")


def _records(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield the records of an extended header, each "LENGTH KEY=VALUE\\n"."""
    at = 0
    while at < len(data):
        space = data.find(b" ", at, at + 20)
        end = at + _digits(data[at : max(at, space)], 10, "a record's length")
        key, equals, value = data[space + 1 : end - 1].partition(b"=")
        if not equals or data[end - 1 : end] != b"\n" or b"\0" in key:
            raise _damaged("an extended header holds what is no record")
        yield key, value
        at = end


def _member(block: bytes, extended: dict[bytes, bytes]) -> Member:
    """Make a member of its header, and of what extended headers say instead."""
    name, mode, uid, gid, size, mtime, _, kind, link, magic, *_, prefix = _fields(block)
    name, link, prefix = (field.partition(b"\0")[0] for field in (name, link, prefix))
    if prefix and magic == b"ustar\0":
        name = prefix + b"/" + name
    name = extended.get(b"path") or name
    if kind == _SPARSE or any(key.startswith(b"GNU.sparse.") for key in extended):
        raise LabError(f"unpack {shown(name)}", "a sparse file: layers have none")
    if kind not in _KINDS:
        raise LabError(f"unpack {shown(name)}", f"no kind of file has the letter {shown(kind)!r}")
    if kind in _FILES:
        kind = FOLDER if name.endswith(b"/") else FILE
    member = Member(
        name,
        kind,
        _number(mode, "a mode") & 0o7777,
        _chosen(extended, b"uid", uid),
        _chosen(extended, b"gid", gid),
        _chosen(extended, b"size", size) if kind == FILE else 0,
        _time(extended[b"mtime"]) if b"mtime" in extended else _number(mtime, "a time") * 10**9,
        extended.get(b"linkpath") or link,
        {
            key.removeprefix(_XATTR): value
            for key, value in extended.items()
            if key.startswith(_XATTR)
        },
    )
    ids = (member.uid, member.gid)
    if min(*ids, member.size) < 0 or max(ids) > _MAX_ID or abs(member.mtime) > _MAX_TIME:
        raise LabError(f"unpack {shown(name)}", "its owner, size or time is out of bounds")
    if b"\0" in member.name or b"\0" in member.link:
        raise LabError(f"unpack {shown(name)}", "a name holds a NUL")
    return member


def _chosen(extended: dict[bytes, bytes], key: bytes, field: bytes) -> int:
    what = f"a {key.decode()}"
    return _digits(extended[key], 10, what) if key in extended else _number(field, what)


def _time(text: bytes) -> int:
    """Read decimal seconds as nanoseconds."""
    whole, _, part = text.partition(b".")
    sign = -1 if whole.startswith(b"-") else 1
    seconds = _digits(whole.removeprefix(b"-"), 10, "a time")
    return sign * (seconds * 10**9 + _digits(part[:9].ljust(9, b"0"), 10, "a time"))
