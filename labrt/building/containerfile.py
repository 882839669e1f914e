"""The Containerfile: text becomes stages of instructions, each with its line.

The language is Docker's (https://docs.docker.com/reference/dockerfile/): a line is an instruction,
an escape character at its end continues it, "#" begins a comment, "<<NAME" takes the following
lines up to NAME. What an instruction means is said where it is carried out.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass

from labrt.building.words import split
from labrt.errors import LabError

# Instruction → the flags that the lab knows of it.
FLAGS = {
    "ADD": {"chown", "chmod"},
    "ARG": set[str](),
    "CMD": set[str](),
    "COPY": {"from", "chown", "chmod"},
    "ENTRYPOINT": set[str](),
    "ENV": set[str](),
    "EXPOSE": set[str](),
    "FROM": {"platform"},
    "HEALTHCHECK": {"interval", "timeout", "start-period", "start-interval", "retries"},
    "LABEL": set[str](),
    "MAINTAINER": set[str](),
    "RUN": set[str](),
    "SHELL": set[str](),
    "STOPSIGNAL": set[str](),
    "USER": set[str](),
    "VOLUME": set[str](),
    "WORKDIR": set[str](),
}
_WITH_DOCUMENTS = ("ADD", "COPY", "RUN")
_DIRECTIVE = re.compile(r"#\s*([A-Za-z]+)\s*=\s*(.*?)\s*")
_FLAG = re.compile(r"--([a-z-]+)(?:=(\S*))?(?:\s+|$)")
_DOCUMENT = re.compile(r"<<(-?)(['\"]?)([A-Za-z_][A-Za-z0-9_]*)\2(?=\s|$)")
_STAGE = re.compile(r"[a-z][a-z0-9_.-]*")

Lines = Iterator[tuple[int, str]]


class LineError(LabError):
    """An error that begins with the line it is about: "Containerfile:7: …"."""


@dataclass(frozen=True)
class Document:
    """A here-document: its name, its text, and whether variables in it stay as they are."""

    name: str
    text: str
    quoted: bool


@dataclass(frozen=True)
class Instruction:
    """One instruction as it is written.

    Attributes:
        where: "Containerfile:7".
        keyword: in capitals.
        flags: those before its arguments, without their dashes.
        text: its arguments, continued lines joined.
        escape: the character that continues lines and takes a character's meaning.
    """

    where: str
    keyword: str
    flags: dict[str, str]
    text: str
    escape: str = "\\"
    documents: tuple[Document, ...] = ()

    @property
    def written(self) -> str:
        """The instruction in one line."""
        flags = [f"--{name}={value}" for name, value in self.flags.items()]
        return " ".join([self.keyword, *flags, self.text])

    @property
    def listed(self) -> list[str] | None:
        """The arguments where they are a JSON array of texts (the exec form), else None."""
        if not self.text.startswith("["):
            return None
        try:
            found = json.loads(self.text)
        except ValueError:
            return None  # as Docker: then it is for the shell
        whole = isinstance(found, list) and all(isinstance(each, str) for each in found)
        return found if whole else None

    @property
    def words(self) -> list[str]:
        """The arguments, split at white space outside quotes; quotes and variables stay."""
        return split(self.text, self.escape)

    @property
    def line(self) -> str:
        """Where it is and what it says, for errors."""
        return f"{self.where}: {self.written[:200]}"

    def error(self, answer: str, cause: str = "", remedy: str = "") -> LineError:
        """Return an error that names the line."""
        return LineError(self.line, answer, cause, remedy)


@dataclass(frozen=True)
class Stage:
    """From one FROM to the next. `name` is "" where it has none; `base` is the FROM."""

    number: int
    name: str
    base: Instruction
    steps: tuple[Instruction, ...]


@dataclass(frozen=True)
class Containerfile:
    """All of it: the ARGs before the first FROM, and the stages."""

    arguments: tuple[Instruction, ...]
    stages: tuple[Stage, ...]

    def stage(self, name: str, before: int | None = None) -> Stage | None:
        """Return the stage of that name or number, of those before number `before`."""
        for stage in self.stages[:before]:
            if name.lower() == stage.name or name == str(stage.number):
                return stage
        return None


def parse(text: str, file: str) -> Containerfile:
    """Read a Containerfile.

    Args:
        file: what to call it in errors.

    Raises:
        LabError: it isn't one; the line is named.
    """
    arguments: list[Instruction] = []
    stages: list[tuple[Instruction, list[Instruction]]] = []
    for each in _instructions(text, file):
        if each.keyword == "FROM":
            stages.append((each, []))
        elif stages:
            stages[-1][1].append(each)
        elif each.keyword == "ARG":
            arguments.append(each)
        else:
            raise each.error("no FROM stands before it", remedy="begin with FROM IMAGE")
    if not stages:
        raise LabError("no FROM is in it", remedy="begin with FROM IMAGE")
    numbered = enumerate(stages)
    return Containerfile(
        tuple(arguments),
        tuple(Stage(n, _stage_name(base), base, tuple(steps)) for n, (base, steps) in numbered),
    )


def _stage_name(base: Instruction) -> str:
    words = base.words
    if len(words) == 1:
        return ""
    if len(words) != 3 or words[1].upper() != "AS":
        raise base.error("FROM takes IMAGE [AS NAME]")
    if not _STAGE.fullmatch(words[2].lower()):
        raise base.error(f"{words[2]!r} is no name for a stage", remedy="letters first, no signs")
    return words[2].lower()


def _instructions(text: str, file: str) -> Iterator[Instruction]:
    lines = [line.rstrip("\r") for line in text.removeprefix("\ufeff").split("\n")]
    escape = _escape(lines, file)
    numbered = iter(enumerate(lines, start=1))
    for number, line in numbered:
        if line.strip() and not line.lstrip().startswith("#"):
            whole = _joined(line, numbered, escape)
            yield _instruction(whole, f"{file}:{number}", escape, numbered)


def _escape(lines: list[str], file: str) -> str:
    """The escape character, as a directive at the file's very beginning may choose it."""
    for number, line in enumerate(lines, start=1):
        directive = _DIRECTIVE.fullmatch(line.strip())
        if directive is None:
            break
        if directive[1].lower() == "escape":
            if directive[2] not in ("\\", "`"):
                raise LineError(f"{file}:{number}: {line}", "the escape is \\ or `")
            return directive[2]
    return "\\"


def _joined(line: str, rest: Lines, escape: str) -> str:
    """A line with those that continue it; comments and empty lines between them don't count."""
    end = re.compile(rf"(?<!{re.escape(escape)}){re.escape(escape)}[ \t]*$")
    parts = [line.lstrip()]
    while end.search(parts[-1]):
        parts[-1] = end.sub("", parts[-1])
        for _number, more in rest:
            if more.strip() and not more.lstrip().startswith("#"):
                parts.append(more)
                break
        else:
            break
    return "".join(parts).strip()


def _instruction(line: str, where: str, escape: str, rest: Lines) -> Instruction:
    keyword, _, text = line.replace("\t", " ", 1).partition(" ")
    keyword, text = keyword.upper(), text.strip()
    if keyword not in FLAGS:
        raise _unknown(keyword, Instruction(where, keyword, {}, text))
    flags = {}
    while keyword not in ("CMD", "ENTRYPOINT") and (flag := _FLAG.match(text)):
        flags[flag[1]] = flag[2] if flag[2] is not None else "true"
        text = text[flag.end() :]
    found = Instruction(where, keyword, flags, text, escape)
    for name in flags:
        if name not in FLAGS[keyword]:
            raise found.error(f"--{name} is not supported")
    if not text:
        raise found.error("its arguments are missing")
    if keyword not in _WITH_DOCUMENTS or found.listed is not None:
        return found
    documents = tuple(_document(mark, found, rest) for mark in _DOCUMENT.finditer(text))
    return Instruction(where, keyword, flags, text, escape, documents)


def _document(mark: re.Match[str], owner: Instruction, rest: Lines) -> Document:
    tabs, quote, name = mark.groups()
    lines: list[str] = []
    for _number, line in rest:
        plain = line.lstrip("\t") if tabs else line
        if plain == name:
            return Document(name, "".join(f"{each}\n" for each in lines), bool(quote))
        lines.append(plain)
    raise owner.error(f"the end of <<{name} is missing")


def _unknown(keyword: str, found: Instruction) -> LineError:
    from difflib import get_close_matches

    if keyword == "ONBUILD":
        return found.error("ONBUILD is not supported", "the OCI image format has no such thing")
    near = ", ".join(get_close_matches(keyword, FLAGS))
    return found.error("there is no such instruction", remedy=near and f"near it: {near}")
