"""Calls as text: what a step asks of the kernel, as strace(1) would show it."""

from __future__ import annotations

import errno
from collections.abc import Mapping

from labrt import calls
from labrt.calls import Argument, Call, Operand
from labrt.errors import LabError
from labrt.step import Context, Step

_MOST = 60  # characters of a text, as strace's -s


def of(step: Step, context: Context) -> list[str]:
    """Return a container-side step's calls, one in a line; [] where it takes more than calls, or
    what they are is known only once it begins."""
    try:
        return [_line(each) for each in step.calls(context) or ()]
    except (LabError, OSError, ValueError):
        return []


def _line(each: Call) -> str:
    arguments = ", ".join(map(_argument, each.arguments))
    kept = f"{each.result} = " if each.result else ""
    return f"{kept}{each.name}({arguments}){_accepted(each.unless)}"


def _accepted(unless: Mapping[int, int]) -> str:
    if not unless:
        return ""
    names = ("any error" if number == calls.ANY else errno.errorcode[number] for number in unless)
    return f", or {', '.join(names)}"


def _argument(value: Argument) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, int):
        number = hex(value) if value > 255 else str(int(value))
        return "AT_FDCWD" if value == calls.AT_FDCWD else number
    if isinstance(value, str):
        return _quoted(value)
    if isinstance(value, bytes):
        return _bytes(value)
    return _operand(value)


def _operand(value: Operand) -> str:
    match value.kind:
        case calls.RESULT:
            return calls.name_of(value.value)
        case calls.PATH:
            opened, below = value.value
            return _quoted(f"/proc/self/fd/{{{calls.name_of(opened)}}}{below}")
        case calls.POINTERS:
            head, parts = value.value
            texts = [_bytes(part) for part in parts if part is not None]
            return f"[{', '.join(texts)}]" if not head else f"{{{', '.join(texts)}}}"
        case calls.DESCRIPTOR:
            return f"fd {value.value}" if value.value >= 0 else "fd"
        case _:
            return "memory"


def _bytes(value: bytes) -> str:
    text = value.removesuffix(b"\0")
    return _quoted(text.decode()) if text.isascii() and _is_text(text) else f"<{len(value)} bytes>"


def _is_text(value: bytes) -> bool:
    return value.decode(errors="replace").isprintable()


def _quoted(text: str) -> str:
    shown = text if len(text) <= _MOST else f"{text[:_MOST]}…"
    return f'"{shown}"'
