"""The configuration: what an instruction does to an image besides its files
(https://github.com/opencontainers/image-spec/blob/main/config.md; Healthcheck and Shell are
Docker's own, https://github.com/moby/docker-image-spec)."""

from __future__ import annotations

import copy
import os
import platform
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from labrt import life
from labrt.building.containerfile import Instruction
from labrt.building.words import WordError, expand
from labrt.errors import LabError
from labrt.images.making import Layer
from labrt.images.store import Image

PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}  # Python's names → Go's, which OCI took
_PORT = re.compile(r"([0-9]{1,5})(?:-([0-9]{1,5}))?(?:/(tcp|udp|sctp))?")
_UNITS = {"ns": 1, "us": 10**3, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9}
_DURATION = re.compile(r"(?:[0-9]+(?:\.[0-9]+)?(?:ns|us|ms|s|m|h))+")
# What --build-arg may set without an ARG; it never counts as part of the image.
PROXIES = tuple(
    name
    for low in ("http_proxy", "https_proxy", "ftp_proxy", "no_proxy", "all_proxy")
    for name in (low, low.upper())
)


def architecture() -> str:
    """Return this machine's, as images name it: "amd64"."""
    return _ARCHITECTURES.get(platform.machine(), platform.machine())


def platforms() -> dict[str, str]:
    """Return the arguments that every FROM knows: the platform, which is this machine's."""
    machine = architecture()
    told = {"PLATFORM": f"linux/{machine}", "OS": "linux", "ARCH": machine}
    return {f"{side}{what}": v for side in ("BUILD", "TARGET") for what, v in told.items()}


@dataclass
class State:
    """An image in the making.

    Attributes:
        config: its OCI configuration without `rootfs`, which follows from `layers`.
        layers: lowest first.
        arguments: the build arguments in sight.
        epoch: seconds, its time of creation.
        own_command: whether this stage has a CMD, which an ENTRYPOINT then leaves alone.
    """

    config: dict[str, Any]
    layers: list[Layer]
    epoch: int
    arguments: dict[str, str] = field(default_factory=dict)
    own_command: bool = False

    @property
    def inner(self) -> dict[str, Any]:
        """What a container of it runs, where and as whom."""
        found: dict[str, Any] = self.config["config"]
        return found

    @property
    def env(self) -> dict[str, str]:
        return dict(entry.partition("=")[::2] for entry in self.inner.get("Env") or [])

    @property
    def values(self) -> dict[str, str]:
        """What variables stand for: ENV, and ARG where no ENV has that name."""
        return {**self.arguments, **self.env}

    @property
    def working_dir(self) -> str:
        return self.inner.get("WorkingDir") or "/"

    @property
    def shell(self) -> list[str]:
        return self.inner.get("Shell") or ["/bin/sh", "-c"]

    def image(self) -> Image:
        """Return what there is so far, as an image without a name that runs whatever it is told."""
        rootfs = {"diff_ids": [layer.diff_id for layer in self.layers]}
        inner = {**self.inner, "Entrypoint": [], "Cmd": []}
        config = {**self.config, "rootfs": rootfs, "config": inner}
        return Image("build", "", config, tuple(layer.blob for layer in self.layers))

    def record(self, written: str, layer: Layer | None) -> None:
        """Note an instruction in the history, and put its layer on top, where it has made one."""
        entry: dict[str, Any] = {"created": timestamp(self.epoch), "created_by": written}
        if layer is None:
            entry["empty_layer"] = True
        else:
            self.layers.append(layer)
        self.config["history"].append(entry)


def scratch(epoch: int) -> State:
    """Return the beginning of an image that is made from nothing."""
    config = {"architecture": architecture(), "os": "linux", "config": {"Env": [PATH]}}
    return State({**config, "history": []}, [], epoch)


def based_on(image: Image, layers: list[Layer], epoch: int) -> State:
    """Return the beginning of an image on top of another.

    Raises:
        LabError: the other wants instructions of its own carried out.
    """
    config = copy.deepcopy(image.config)
    del config["rootfs"]
    config["config"] = config.get("config") or {}
    if config["config"].pop("OnBuild", None):
        raise LabError(f"build on top of {image.name}", "its ONBUILD triggers are not supported")
    unknown = [{"comment": "a layer of the base image"}] * len(layers)
    config["history"] = config.get("history") or unknown
    return State(config, list(layers), epoch)


def timestamp(epoch: int) -> str:
    """RFC 3339, as image-spec wants it."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(epoch))


def expanded(word: str, instruction: Instruction, values: Mapping[str, str]) -> str:
    """Take quotes off a word and put variables in.

    Raises:
        LabError: it can't be; the line is named.
    """
    try:
        return expand(word, values, instruction.escape)
    except WordError as error:
        raise instruction.error(str(error)) from None


def pairs(instruction: Instruction, values: Mapping[str, str]) -> dict[str, str]:
    """Return the NAME=VALUE arguments of ENV and LABEL, or the old `ENV NAME VALUE`."""
    words = instruction.words
    if "=" not in words[0]:
        name, *rest = instruction.text.split(maxsplit=1)
        if not rest:
            raise instruction.error(f"{instruction.keyword} takes NAME=VALUE")
        return {name: expanded(rest[0], instruction, values)}
    found = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals or not name:
            raise instruction.error(f"{word!r} is not NAME=VALUE")
        plain = expanded(name, instruction, values)
        found[plain] = expanded(value, instruction, values)
    return found


def declared(
    instruction: Instruction,
    given: Mapping[str, str],
    values: Mapping[str, str],
    outer: Mapping[str, str],
) -> dict[str, str | None]:
    """Return what an ARG declares: name → the user's value, its default, or what it is outside the
    stage; None where it has none.

    Raises:
        LabError: a name that is none.
    """
    found: dict[str, str | None] = {}
    for word in instruction.words:
        name, equals, default = word.partition("=")
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
            raise instruction.error(f"{name!r} is no name for an argument")
        own = expanded(default, instruction, values) if equals else outer.get(name)
        found[name] = given.get(name, own)
    return found


def _env(state: State, instruction: Instruction) -> None:
    new = {**state.env, **pairs(instruction, state.values)}
    state.inner["Env"] = [f"{name}={value}" for name, value in new.items()]


def _label(state: State, instruction: Instruction) -> None:
    old = state.inner.get("Labels") or {}
    state.inner["Labels"] = {**old, **pairs(instruction, state.values)}


def _user(state: State, instruction: Instruction) -> None:
    state.inner["User"] = expanded(instruction.text, instruction, state.values)


def working_dir(state: State, instruction: Instruction) -> str:
    """Return the folder that WORKDIR names."""
    path = expanded(instruction.text, instruction, state.values)
    return os.path.normpath(os.path.join(state.working_dir, path))


def _working_dir(state: State, instruction: Instruction) -> None:
    state.inner["WorkingDir"] = working_dir(state, instruction)


def _expose(state: State, instruction: Instruction) -> None:
    ports = state.inner.setdefault("ExposedPorts", {})
    for word in instruction.words:
        text = expanded(word, instruction, state.values).lower()
        found = _PORT.fullmatch(text)
        first, last = (int(found[1]), int(found[2] or found[1])) if found else (1, 0)
        if found is None or not 0 < first <= last < 65536:
            raise instruction.error(f"{text!r} is no port", remedy="PORT[-PORT][/udp]")
        ports.update({f"{port}/{found[3] or 'tcp'}": {} for port in range(first, last + 1)})


def _volume(state: State, instruction: Instruction) -> None:
    words = instruction.listed or instruction.words
    paths = [expanded(word, instruction, state.values) for word in words]
    state.inner["Volumes"] = {**(state.inner.get("Volumes") or {}), **{p: {} for p in paths}}


def _stop_signal(state: State, instruction: Instruction) -> None:
    text = expanded(instruction.text, instruction, state.values)
    try:
        life.signal_named(text)
    except LabError as error:
        raise instruction.error(error.answer, remedy=error.remedy) from None
    state.inner["StopSignal"] = text


def _shell(state: State, instruction: Instruction) -> None:
    if not instruction.listed:
        raise instruction.error("SHELL takes a JSON array", remedy='SHELL ["/bin/sh", "-c"]')
    state.inner["Shell"] = instruction.listed


def command(state: State, instruction: Instruction) -> list[str]:
    """Return what an instruction runs: its array, or its text by the shell."""
    listed = instruction.listed
    return [*state.shell, instruction.text] if listed is None else listed


def _cmd(state: State, instruction: Instruction) -> None:
    state.inner["Cmd"] = command(state, instruction)
    state.own_command = True


def _entrypoint(state: State, instruction: Instruction) -> None:
    state.inner["Entrypoint"] = command(state, instruction)
    if not state.own_command:
        state.inner.pop("Cmd", None)  # the base's was meant for the base's entry point


def _maintainer(state: State, instruction: Instruction) -> None:
    state.config["author"] = instruction.text


def _healthcheck(state: State, instruction: Instruction) -> None:
    kind, _, rest = instruction.text.partition(" ")
    if kind.upper() == "NONE" and not rest.strip():
        state.inner["Healthcheck"] = {"Test": ["NONE"]}
        return
    if kind.upper() != "CMD" or not rest.strip():
        raise instruction.error("HEALTHCHECK takes NONE, or CMD and a command")
    own = Instruction(instruction.where, "HEALTHCHECK", {}, rest.strip(), instruction.escape)
    test = ["CMD", *own.listed] if own.listed else ["CMD-SHELL", own.text]
    state.inner["Healthcheck"] = {"Test": test, **_intervals(instruction)}


def _intervals(instruction: Instruction) -> dict[str, int]:
    found = {}
    for name, text in instruction.flags.items():
        key = name.title().replace("-", "")
        if name == "retries":
            if not text.isdecimal():
                raise instruction.error(f"--retries={text} is not a number")
            found[key] = int(text)
        elif _DURATION.fullmatch(text):
            parts = re.findall(r"([0-9.]+)([a-z]+)", text)
            found[key] = round(sum(float(number) * _UNITS[unit] for number, unit in parts))
        else:
            raise instruction.error(f"--{name}={text} is not a time", remedy="such as 30s, 1m30s")
    return found


# Instruction → what it does to the configuration.
SETTINGS: dict[str, Callable[[State, Instruction], None]] = {
    "CMD": _cmd,
    "ENTRYPOINT": _entrypoint,
    "ENV": _env,
    "EXPOSE": _expose,
    "HEALTHCHECK": _healthcheck,
    "LABEL": _label,
    "MAINTAINER": _maintainer,
    "SHELL": _shell,
    "STOPSIGNAL": _stop_signal,
    "USER": _user,
    "VOLUME": _volume,
    "WORKDIR": _working_dir,
}
