"""Calls: what a container-side step does, as a list of system calls that C performs (calls.c).

Between clone3(2) and execve(2) a child of Python costs more than all that it asks of the kernel:
each object that it looks at is a reference counted, and so a page copied. A step that is nothing
but system calls therefore says which (`Step.calls`), worked out before the clone, on the host's
side; the child performs them without Python. A step that must think is code (`Step.do`).

A call's arguments are numbers, text, bytes, or what is only known once it runs: what an earlier
call has returned (`kept`), a place in memory (`scratch`), a `descriptor`. It fails its step, unless
it says where to go on after that errno.
"""

from __future__ import annotations

import ctypes
import errno
import os
import stat
import struct
from collections.abc import Mapping, Sequence
from functools import cache, cached_property
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

from labrt import syscalls
from labrt.errors import LabError

ANY = 0  # stands for every errno
END = -1  # the end of the step

# What the forked child has of calls.c; the cloner has its own.
LIBRARY = Path(__file__).parent.parent / ".venv" / "lib" / "labrt-calls.so"

AT_FDCWD = -100
AT_EMPTY_PATH = 0x1000
AT_SYMLINK_NOFOLLOW = 0x100


class Operand(NamedTuple):
    """An argument that is neither number nor text: its kind, as in calls.c, and what belongs to
    it."""

    kind: int
    value: Any


VALUE, DATA, RESULT, SCRATCH, DESCRIPTOR, PATH, POINTERS = range(7)

# What calls may keep for later ones, in any step of a program; calls.c has room for sixteen.
_NAMES = (
    *("report", "host_root", "own_fds", "state_dir", "point", "file", "socket", "null", "keyring"),
    *("stdin", "stdout", "stderr"),
)
_RESULTS = {name: number for number, name in enumerate(_NAMES)}


def name_of(result: int) -> str:
    """Return the name by which a result is kept."""
    return _NAMES[result]


def kept(name: str) -> Operand:
    """What an earlier call with this `result` has returned."""
    return Operand(RESULT, _RESULTS[name])


def scratch(at: int = 0) -> Operand:
    """A place in memory that calls may write to: 8 KiB, nothing in it at first."""
    return Operand(SCRATCH, at)


def descriptor(number: int) -> Operand:
    """A descriptor of the process that clones."""
    return Operand(DESCRIPTOR, number)


def path_of(opened: Operand, below: str = "") -> Operand:
    """The path of a file that an earlier call has opened, or of one below it."""
    return Operand(PATH, (opened.value, below))


def pointers(parts: Sequence[bytes | None], head: bytes = b"") -> Operand:
    """A structure with pointers: after its head, to each of the parts."""
    return Operand(POINTERS, (head, parts))


Argument = int | str | bytes | Operand | None


class Call(NamedTuple):
    """One system call.

    Attributes:
        result: the name by which later calls know what it returns.
        then: how many of the following calls are left out when it succeeds.
        unless: errno → how many, when it fails so.
        refusals: errno → what to tell of it in place of the kernel's answer.
    """

    name: str
    arguments: tuple[Argument, ...]
    result: str
    then: int
    unless: Mapping[int, int]
    refusals: Mapping[int, LabError]


def call(
    name: str,
    *arguments: Argument,
    result: str = "",
    then: int = 0,
    unless: Mapping[int, int] = {},
    refusals: Mapping[int, LabError] = {},
) -> Call:
    """Return a call of the kernel's; the attributes are those of `Call`."""
    return Call(name, arguments, result, then, unless, refusals)


def write(file: str, text: bytes) -> tuple[Call, ...]:
    """Return the calls that write into a file that is there."""
    opened = call("openat", AT_FDCWD, file, os.O_WRONLY | os.O_CLOEXEC, 0, result="file")
    return opened, call("write", kept("file"), text, len(text)), call("close", kept("file"))


def expect(found: Operand, wanted: bytes, refused: LabError) -> Call:
    """Fail by `refused` unless these bytes are there."""
    return call("expect", found, wanted, len(wanted), None, refusals={errno.EBADMSG: refused})


def is_regular(then: int) -> Call:
    """Leave out the next `then` calls if `look` has found a regular file; go on in any case."""
    return call("expect", *_type(stat.S_IFREG), then=then, unless={errno.EBADMSG: 0})


def is_device(kind: int, number: tuple[int, int] | None, refused: LabError) -> tuple[Call, ...]:
    """Fail by `refused` unless `look` has found a file of this kind (S_IFCHR, …) and, but for
    None, these major and minor numbers."""
    right_type = call("expect", *_type(kind), refusals={errno.EBADMSG: refused})
    if number is None:
        return (right_type,)
    found = scratch(syscalls.STX_RDEV)
    return right_type, expect(found, struct.pack("=II", *number), refused)


def _type(kind: int) -> tuple[Argument, ...]:
    place, bits = scratch(syscalls.STX_MODE), struct.pack("=H", stat.S_IFMT(0xFFFF))
    return place, struct.pack("=H", kind), len(bits), bits


def look(folder: Argument, path: str, flags: int = 0, unless: Mapping[int, int] = {}) -> Call:
    """Return the call that asks what a file is (statx(2)); `flags` as AT_SYMLINK_NOFOLLOW."""
    return call("statx", folder, path, flags, 0, scratch(), unless=unless)


def leave_unless(found: Operand, wanted: bytes) -> tuple[Call, Call]:
    """End the process without a word unless these bytes are there."""
    unless = {errno.EBADMSG: 0}
    return call("expect", found, wanted, len(wanted), None, then=1, unless=unless), call("leave")


def refuse(number: int) -> Call:
    """Fail by this errno."""
    return call("refuse", number)


def open_point(path: str, folder: bool, refusals: Mapping[int, LabError]) -> Call:
    """Open a mount point, made where it is missing, and follow no link; kept as "point"."""
    return call("open_point", path, folder, result="point", refusals=refusals)


_OWN = {"expect": -1, "refuse": -2, "leave": -3, "open_point": -4}  # none of the kernel's

# struct call, struct part and struct pointer of calls.c
_CALL = struct.Struct("=iI6qhH8HH10x")
_PART = struct.Struct("=IHH")
_POINTER = struct.Struct("=II")
_OURS = bytes(24)  # struct descriptors without any: all numbers are this process's own
_NOWHERE = (0,) * 8


class Calls(tuple[Call, ...]):
    """The calls of one step, for which its part of a program is made at most once."""

    @cached_property
    def encoded(self) -> _Encoded:
        return _Encoded(self)


class _Encoded:
    """One step's part of a program.

    Attributes:
        part: as `calls.c` reads it.
        descriptors: those of the process that clones which it names.
    """

    def __init__(self, calls: Sequence[Call]) -> None:
        self.descriptors: list[int] = []
        self._data = bytearray()
        self._pointers: list[bytes] = []
        self._structures: dict[int, int] = {}
        rows = [self._row(each, len(calls) - index - 1) for index, each in enumerate(calls)]
        body = b"".join([*rows, *self._pointers, self._data])
        self.part = _PART.pack(_PART.size + len(body), len(rows), len(self._pointers)) + body

    def _row(self, each: Call, left: int) -> bytes:
        """`left`: how many calls follow."""
        name, arguments, result, then, unless, _refusals = each
        kinds, numbers = 0, [0] * 6
        for place, value in enumerate(arguments):
            if type(value) is int:
                numbers[place] = value
            elif value is not None:
                kind, numbers[place] = self._argument(value)
                kinds |= kind << 4 * place
        return _CALL.pack(
            _number(name),
            kinds,
            *numbers,
            _RESULTS[result] if result else -1,
            left if then == END else then,
            *(_branches(unless, left) if unless else _NOWHERE),
            len(unless),
        )

    def _argument(self, value: Argument) -> tuple[int, int]:
        """Return its kind and its number."""
        if isinstance(value, str):
            return DATA, self._put(value.encode(errors="surrogateescape") + b"\0")
        if isinstance(value, bytes):
            return DATA, self._put(value)
        if not isinstance(value, Operand):
            return VALUE, int(value or 0)
        if value.kind == POINTERS:
            return DATA, self._put_structure(value)
        if value.kind == PATH:
            opened, below = value.value
            return PATH, self._put(below.encode() + b"\0") << 4 | opened
        if value.kind == DESCRIPTOR:
            self.descriptors.append(value.value)
        return value.kind, value.value

    def _put(self, value: bytes) -> int:
        """Return where it is in the data, on a multiple of 8."""
        at = len(self._data)
        self._data += value.ljust(len(value) + 7 & ~7, b"\0")
        return at

    def _put_structure(self, structure: Operand) -> int:
        if id(structure) in self._structures:  # it may be several calls' argument
            return self._structures[id(structure)]
        head, parts = structure.value
        targets = [None if part is None else self._put(part) for part in parts]
        at = self._structures[id(structure)] = self._put(head + bytes(8 * len(targets)))
        for place, target in enumerate(targets):
            if target is not None:
                self._pointers.append(_POINTER.pack(at + len(head) + 8 * place, target))
        return at


def _branches(unless: Mapping[int, int], left: int) -> list[int]:
    pairs = ((error, left if onward == END else onward) for error, onward in unless.items())
    flat = [number for pair in pairs for number in pair]
    return flat + [0] * (8 - len(flat))


@cache
def _number(name: str) -> int:
    if name in _OWN:
        return _OWN[name]
    number: int = library().call_number(name.encode())
    if number < 0:
        raise LookupError(f"calls.c does not know {name}")
    return number


@cache
def library() -> ctypes.PyDLL:
    """Return calls.c as this process's library.

    Raises:
        LabError: it wasn't compiled.
    """
    try:
        loaded = ctypes.PyDLL(str(LIBRARY))
    except OSError as error:
        raise LabError(f"load {LIBRARY}", str(error), remedy="./lab setup") from None
    loaded.call_number.restype = ctypes.c_long
    return loaded


def perform(calls: Sequence[Call]) -> None:
    """Perform one step's calls in this process, which they change.

    Raises:
        OSError: the kernel's answer. LabError: what is told in its place.
    """
    at = ctypes.c_uint()
    part = ctypes.create_string_buffer(Calls(calls).encoded.part)
    number = library().perform_part(part, _OURS, ctypes.byref(at))
    if number:
        raise failure(calls[at.value], number)


def failure(failed: Call, number: int) -> OSError | LabError:
    """Return what is to be told of a call that failed by this errno."""
    return failed.refusals.get(number) or OSError(number, os.strerror(number))


def result(name: str) -> int:
    """Return what a call that was performed in this process has returned by this name."""
    results = (ctypes.c_long * len(_RESULTS)).in_dll(library(), "results")
    return int(results[_RESULTS[name]])


class Program:
    """The calls of all of a child's steps; the last's execute another program.

    Attributes:
        code: what `calls.c` performs.
        descriptors: those of the process that clones which it names.
    """

    def __init__(self, parts: Sequence[Calls], parting: int) -> None:
        """`parting`: the step before which it tells how it went so far."""
        self._parts = parts
        head = struct.pack("=II", len(parts), parting)
        self.code = head + b"".join([part.encoded.part for part in parts])
        self.descriptors = [number for part in parts for number in part.encoded.descriptors]

    def perform(self, report: int) -> NoReturn:
        """Perform it in this process, which ends or becomes another by it."""
        library().perform_program(ctypes.create_string_buffer(self.code), _OURS, report)
        raise AssertionError("it doesn't return")

    def failure(self, step: int, call: int, number: int) -> OSError | LabError:
        """Return what is to be told of a call that failed by this errno."""
        return failure(self._parts[step][call], number)
