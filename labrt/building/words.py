"""Words of a Containerfile: split as a shell would, quotes taken off, variables put in
(https://docs.docker.com/reference/dockerfile/#environment-replacement)."""

from __future__ import annotations

import re
from collections.abc import Mapping

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class WordError(ValueError):
    """What is wrong with a word."""


def split(text: str, escape: str = "\\") -> list[str]:
    """Split at white space outside quotes; the words stay as they are written."""
    words, word, quote, at = [], "", "", 0
    while at < len(text):
        char = text[at]
        width = 2 if char == escape and quote != "'" else 1
        if width == 1 and char in "'\"" and quote in ("", char):
            quote = "" if quote else char
        if char.isspace() and not quote:
            words.append(word)
            word = ""
        else:
            word += text[at : at + width]
        at += width
    return [each for each in (*words, word) if each]


def expand(word: str, values: Mapping[str, str], escape: str = "\\") -> str:
    """Take quotes off and put variables in: $name, ${name}, and with - + ? as in sh(1).

    Raises:
        WordError: a quote or a brace is open, a variable is asked for with "?", or no such form.
    """
    return _Expansion(word, values, escape).all()


class _Expansion:
    def __init__(self, text: str, values: Mapping[str, str], escape: str) -> None:
        self._text = text
        self._at = 0
        self._values = values
        self._escape = escape

    def all(self) -> str:
        return self._until("", quoted=False)

    def _until(self, end: str, quoted: bool) -> str:
        """Expand up to the character `end`, or to the text's end where it is ""."""
        found = ""
        while self._at < len(self._text):
            char = self._next()
            if char == end:
                return found
            if char == self._escape:
                found += self._escaped(quoted)
            elif char == "$":
                found += self._variable()
            elif char == "'" and not quoted:
                found += self._literal()
            elif char == '"' and not quoted:
                found += self._until('"', quoted=True)
            else:
                found += char
        if end:
            raise WordError(f"the closing {end} is missing")
        return found

    def _next(self) -> str:
        self._at += 1
        return self._text[self._at - 1]

    def _escaped(self, quoted: bool) -> str:
        if self._at == len(self._text):
            return self._escape
        char = self._next()
        plain = not quoted or char in ('"', "$", self._escape)
        return char if plain else self._escape + char

    def _literal(self) -> str:
        end = self._text.find("'", self._at)
        if end < 0:
            raise WordError("the closing ' is missing")
        found, self._at = self._text[self._at : end], end + 1
        return found

    def _variable(self) -> str:
        braced = self._text.startswith("{", self._at)
        name = _NAME.match(self._text, self._at + braced)
        if name is None:
            if braced:
                raise WordError("no name follows ${")
            return "$"
        self._at = name.end()
        return self._chosen(name[0]) if braced else self._values.get(name[0], "")

    def _chosen(self, name: str) -> str:
        """What ${name…} is; the part after the name is still to be read."""
        start = self._at
        colon = self._text.startswith(":", self._at)
        self._at += colon
        operator = self._text[self._at : self._at + 1]
        self._at += 1
        value = self._values.get(name)
        if operator == "}" and not colon:
            return value or ""
        if not operator or operator not in "-+?":
            raise WordError(f"${{{name}{self._text[start : self._at]}…}} is not supported")
        other = self._until("}", quoted=False)
        there = bool(value) if colon else value is not None
        if operator == "?" and not there:
            raise WordError(f"{name}: {other or 'it is not set'}")
        if operator == "+":
            return other if there else ""
        return (value or "") if there else other
