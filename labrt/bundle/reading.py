"""Reading `config.json`: every value is what the specification says it is, or refused by its place.

config = reading.config(folder)
config["process"]["user"]["uid"].number()      # or: read process.user.uid: not a number
"""

from __future__ import annotations

import json
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from labrt.errors import LabError, errno_text

MAX_BYTES = 1 << 22  # of a config.json; the largest that engines write are a hundredth of it
U32 = (1 << 32) - 1
U64 = (1 << 64) - 1
I64 = (1 << 63) - 1
ID = U32 - 1  # the highest; to the kernel, the one after it means "unchanged" (setresuid(2))


class Value:
    """A value of config.json, or its absence, and where it is.

    Attributes:
        place: "linux.resources.pids.limit".
        data: as the JSON has it; None where it isn't there, or null.
    """

    def __init__(self, place: str, data: Any) -> None:
        self.place = place
        self.data = data

    def __bool__(self) -> bool:
        """Whether it is there."""
        return self.data is not None

    def __getitem__(self, name: str) -> Value:
        """A field of an object; absent where the object is."""
        inner = f"{self.place}.{name}" if self.place else name
        return Value(inner, self._as(dict, "an object", {}).get(name))

    def __iter__(self) -> Iterator[Value]:
        """The items of a list; none where it is absent."""
        for index, item in enumerate(self._as(list, "a list", [])):
            yield Value(f"{self.place}[{index}]", item)

    def items(self) -> Iterator[tuple[str, Value]]:
        """The fields of an object; none where it is absent."""
        for name, data in self._as(dict, "an object", {}).items():
            yield name, Value(f"{self.place}.{name}", data)

    def text(self, default: str | None = None) -> str:
        """Return a string, `default` where it is absent.

        Raises:
            LabError: it is none, or absent without a default, or has a NUL in it.
        """
        found: str = self._as(str, "a string", default)
        if "\0" in found:
            raise self.wrong("a NUL in it, which the kernel takes for its end")
        try:
            found.encode()
        except UnicodeEncodeError:
            raise self.wrong("half a character (a lone surrogate) in it") from None
        return found

    def number(self, default: int | None = None, low: int = 0, high: int = U32) -> int:
        """Return a whole number within bounds, `default` where it is absent.

        Raises:
            LabError: it is none, or absent without a default, or out of bounds.
        """
        found: int = self._as(int, "a whole number", default)
        if isinstance(found, bool):
            raise self.wrong("not a whole number")
        if self and not low <= found <= high:
            raise self.wrong(f"{found} is not within {low} and {high}")
        return found

    def flag(self, default: bool = False) -> bool:
        """Return true or false, `default` where it is absent."""
        found: bool = self._as(bool, "true or false", default)
        return found

    def texts(self) -> tuple[str, ...]:
        """Return a list of strings; () where it is absent."""
        return tuple(item.text() for item in self)

    def choice(self, known: Mapping[str, Any] | tuple[str, ...], default: str | None = None) -> str:
        """Return a string that is one of `known`.

        Raises:
            LabError: it is none of them.
        """
        found = self.text(default)
        if self and found not in known:
            raise self.wrong(f"{found!r} is none of {', '.join(known)}")
        return found

    def refuse(self, reason: str, remedy: str = "leave it out") -> None:
        """Refuse a field that the lab hasn't, if it is there and says anything.

        Raises:
            LabError: it does.
        """
        if self.data:
            raise LabError(f"do what {self.place} asks for", reason, remedy=remedy)

    def wrong(self, answer: str) -> LabError:
        """Return the error that says what is wrong with it."""
        return LabError(
            f"read {self.place or 'config.json'}", answer, remedy="see the runtime specification"
        )

    def _as(self, kind: type, name: str, default: Any) -> Any:
        if self.data is None:
            if default is None:
                raise self.wrong("it is missing")
            return default
        if not isinstance(self.data, kind):
            raise self.wrong(f"not {name}")
        return self.data


def config(bundle: Path) -> Value:
    """Read a bundle's config.json.

    Raises:
        LabError: there is none, it is no JSON object, or too large.
    """
    path = bundle / "config.json"
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise LabError(f"read {path}", "not a plain file")
    except OSError as error:
        raise LabError(f"read {path}", errno_text(error)) from None
    return file(path)


def file(path: Path) -> Value:
    """Read a file with one JSON object.

    Raises:
        LabError: as `config`.
    """
    try:
        with open(path, "rb") as stream:
            text = stream.read(MAX_BYTES + 1)
        data = json.loads(text) if len(text) <= MAX_BYTES else None
    except OSError as error:
        raise LabError(f"read {path}", errno_text(error)) from None
    except (ValueError, RecursionError) as error:
        raise LabError(f"read {path}", f"no JSON: {error}") from None
    if not isinstance(data, dict):
        raise LabError(f"read {path}", "no JSON object", f"or more than {MAX_BYTES} bytes")
    return Value("", data)
