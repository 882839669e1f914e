"""Changes of an image's settings in the Dockerfile's words, as `import --change` takes them:
CMD, ENTRYPOINT, ENV, EXPOSE, LABEL, STOPSIGNAL, USER, VOLUME, WORKDIR.

https://docs.docker.com/reference/dockerfile/
https://github.com/opencontainers/image-spec/blob/main/config.md#properties
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from typing import Any

from labrt.errors import LabError

Settings = dict[str, Any]  # the `config` of an image's configuration


def change(settings: Settings, instruction: str) -> None:
    """Do one instruction.

    Raises:
        LabError: it is none of those, or not well-formed.
    """
    word, _, rest = instruction.strip().partition(" ")
    try:
        _INSTRUCTIONS[word.upper()](settings, rest.strip())
    except KeyError:
        known = ", ".join(sorted(_INSTRUCTIONS))
        raise LabError(f"change {instruction!r}", f"none of {known}") from None
    except ValueError as error:
        raise LabError(f"change {instruction!r}", str(error)) from None


def _command(key: str) -> Callable[[Settings, str], None]:
    """A JSON list of words, or text for a shell."""

    def set_command(settings: Settings, text: str) -> None:
        settings[key] = _words(text) if text.startswith("[") else ["/bin/sh", "-c", _some(text)]

    return set_command


def _words(text: str) -> list[str]:
    words = json.loads(text)
    if not all(isinstance(word, str) for word in words):
        raise ValueError("not a list of words")
    return list(words)


def _text(key: str) -> Callable[[Settings, str], None]:
    def set_text(settings: Settings, text: str) -> None:
        settings[key] = _some(text)

    return set_text


def _some(text: str) -> str:
    if not text:
        raise ValueError("it says nothing")
    return text


def _set_env(settings: Settings, text: str) -> None:
    """As a list of "NAME=VALUE"; a name that is there keeps its place."""
    known = dict(each.split("=", 1) for each in settings.get("Env", ()))
    settings["Env"] = [f"{name}={value}" for name, value in {**known, **_pairs(text)}.items()]


def _set_labels(settings: Settings, text: str) -> None:
    settings.setdefault("Labels", {}).update(_pairs(text))


def _pairs(text: str) -> dict[str, str]:
    """NAME=VALUE NAME="VALUE WITH BLANKS" …, or one NAME VALUE WITH BLANKS."""
    words = shlex.split(_some(text))
    if "=" not in words[0]:
        name, _, value = text.partition(" ")
        return {name: _some(value.strip())}
    pairs = [word.partition("=") for word in words]
    if not all(name and equals for name, equals, _ in pairs):
        raise ValueError("not NAME=VALUE")
    return {name: value for name, _, value in pairs}


def _keys(key: str) -> Callable[[Settings, str], None]:
    """Words that are kept as the keys of an object, as Go writes a set."""

    def add_keys(settings: Settings, text: str) -> None:
        words = _words(text) if text.startswith("[") else _some(text).split()
        settings.setdefault(key, {}).update({word: {} for word in words})

    return add_keys


def _expose(settings: Settings, text: str) -> None:
    ports = " ".join(each if "/" in each else f"{each}/tcp" for each in text.split())
    _keys("ExposedPorts")(settings, ports)


_INSTRUCTIONS: dict[str, Callable[[Settings, str], None]] = {
    "CMD": _command("Cmd"),
    "ENTRYPOINT": _command("Entrypoint"),
    "ENV": _set_env,
    "EXPOSE": _expose,
    "LABEL": _set_labels,
    "STOPSIGNAL": _text("StopSignal"),
    "USER": _text("User"),
    "VOLUME": _keys("Volumes"),
    "WORKDIR": _text("WorkingDir"),
}
