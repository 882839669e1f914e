"""Documents: the JSON of an image (manifest, configuration, index), read with distrust.

They come from registries and archives, which may send anything: what is missing or of another type
than the image specification has it is told in one line, by the name of the document and the key.

https://github.com/opencontainers/image-spec/blob/main/manifest.md, config.md, image-layout.md
"""

from __future__ import annotations

import json
from typing import Any, TypeVar

from labrt.errors import LabError

LARGEST = 4 << 20  # bytes; registries take no larger manifests
MOST_LAYERS = 200  # more can't be mounted (`mounts.PAGE`); other engines have 127
_DIGITS = 18  # of a number: sizes are 64 bits
_T = TypeVar("_T")


class Document:
    """A JSON object.

    Args:
        what: what it is called in errors ("the manifest sha256:…").
        value: what json.loads made of it.
    """

    def __init__(self, what: str, value: Any) -> None:
        if not isinstance(value, dict):
            raise LabError(f"read {what}", "it is no JSON object", "a damaged or hostile image")
        self.what = what
        self.value: dict[str, Any] = value

    def text(self, key: str) -> str:
        """Return a string; all of these raise a LabError where it is missing or something else."""
        return self._text(key, self.value.get(key))

    def number(self, key: str) -> int:
        """Return a size in bytes."""
        found = self._checked(key, self.value.get(key), int)
        if isinstance(found, bool) or found < 0 or found >= 10**_DIGITS:
            raise self._wrong(key, "is no size")
        return found

    def texts(self, key: str) -> list[str]:
        """Return a list of strings."""
        return [self._text(key, each) for each in self._list(key)]

    def object(self, key: str) -> Document:
        return Document(f"{key} of {self.what}", self._checked(key, self.value.get(key), dict))

    def names(self, key: str) -> list[str]:
        """Return an object's keys."""
        return [self._text(key, each) for each in self.object(key).value]

    def objects(self, key: str) -> list[Document]:
        """Return a list of objects."""
        return [Document(f"{key} of {self.what}", each) for each in self._list(key)]

    def has(self, key: str) -> bool:
        """Whether it has a value that isn't null."""
        return self.value.get(key) is not None

    def _text(self, key: str, value: Any) -> str:
        """Such that it can be an argument, a variable or a line of a terminal."""
        found = self._checked(key, value, str)
        if "\0" in found or any("\ud800" <= c <= "\udfff" for c in found):
            raise self._wrong(key, "holds what no text may hold")
        return found

    def _list(self, key: str) -> list[Any]:
        return self._checked(key, self.value.get(key), list)

    def _checked(self, key: str, found: Any, kind: type[_T]) -> _T:
        if found is None:
            raise self._wrong(key, "is missing")
        if not isinstance(found, kind):
            raise self._wrong(key, f"should be {_KINDS[kind]}, not {_KINDS.get(type(found), '?')}")
        return found

    def _wrong(self, key: str, how: str) -> LabError:
        return LabError(f"read {self.what}", f"{key!r} {how}", "a damaged or hostile image")


_KINDS: dict[type, str] = {
    str: "text",
    int: "a number",
    float: "a fraction",
    bool: "true or false",
    list: "a list",
    dict: "an object",
}


def read(data: bytes, what: str) -> Document:
    """Read a document of at most `LARGEST` bytes.

    Raises:
        LabError: it is too large, or not JSON in UTF-8 (RFC 8259).
    """
    if len(data) > LARGEST:
        raise LabError(f"read {what}", f"it has {len(data)} bytes; images have at most {LARGEST}")
    try:
        return Document(what, json.loads(data.decode(), parse_constant=_refuse))
    except (ValueError, RecursionError) as error:
        answer = "it is nested too deep" if isinstance(error, RecursionError) else str(error)
        raise LabError(f"read {what}", answer, "it is no JSON") from None


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON")
