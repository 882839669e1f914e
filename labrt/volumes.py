"""Volumes: what a user asks to see in a container beside the image, as a list of mounts.

A bind mount shows a folder or file of the host. A named volume is a folder of the lab's own that
outlives containers; one without a name dies with its container. A tmpfs is in memory. Each is
checked here, before anything is made; `binds.py` and `mounts.py` hold the steps that mount them.

Options are spelled as Docker and Podman spell them: https://docs.docker.com/engine/storage/

Lesson: notebook 17.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Sequence
from pathlib import Path

from labrt import paths
from labrt.errors import LabError, errno_text
from labrt.options import Options
from labrt.spec import Mount

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}")
_PROPAGATIONS = ("private", "rprivate", "slave", "rslave", "shared", "rshared")
_SET = ("ro", "noexec", "nosuid", "nodev")
_LIFTED = {"rw": "ro", "exec": "noexec", "suid": "nosuid", "dev": "nodev"}  # word → what it lifts
_IGNORED = ("z", "Z")  # SELinux labels of containers; the lab gives them none
_TMPFS_VALUES = {
    "size": re.compile(r"\d+[kKmMgG%]?"),
    "mode": re.compile(r"[0-7]{3,4}"),
    "uid": re.compile(r"\d+"),
    "gid": re.compile(r"\d+"),
    "nr_inodes": re.compile(r"\d+[kKmMgG]?"),
}
# What --mount calls the parts of a mount, and what each kind has beside them.
_KEYS = {"src": "source", "dst": "target", "destination": "target", "ro": "readonly"}
_COMMON = ("type", "source", "target", "readonly")
_OWN = {"bind": ("bind-propagation",), "volume": ("volume-nocopy",), "tmpfs": ("size", "mode")}
_TRUTHS = {"": True, "true": True, "1": True, "false": False, "0": False}


def chosen(wishes: Options, state_dir: Path, images: Sequence[str] = ()) -> tuple[Mount, ...]:
    """Return the mounts of --volume, --mount and --tmpfs, those nearer to "/" first.

    Args:
        state_dir: the container's folder, which holds its volumes without a name.
        images: where the image asks for one: without a name, unless the user asks for another.

    Raises:
        LabError: an option that is none, a source that isn't there, a target taken twice.
    """
    found = [
        *(_volume(text, state_dir) for text in wishes.volume),
        *(_mount(text, state_dir) for text in wishes.mount),
        *(_tmpfs(text) for text in wishes.tmpfs),
    ]
    targets = [mount.destination for mount in found]
    for target in targets:
        if targets.count(target) > 1:
            raise _refusal(target, "two mounts have this target", "choose one")
    # Never read as --volume is: an image that names "/etc:/x" would have the host's /etc.
    own = (_folder_of_the_labs(target, "", target, (), state_dir) for target in images)
    asked = {mount.destination: mount for mount in own}
    found += [mount for target, mount in asked.items() if target not in targets]
    return tuple(sorted(found, key=lambda mount: mount.destination.count("/")))


def named(name: str) -> Path:
    """Return where the volume of a name is kept.

    Raises:
        LabError: no volume can have that name.
    """
    if not _NAME.fullmatch(name):
        raise LabError(
            f"find the volume {name!r}",
            "neither a volume's name nor a path",
            remedy="a name has letters, digits, '_', '.' and '-'; a path begins with '/' or './'",
        )
    return volumes_dir() / name


def volumes_dir() -> Path:
    return paths.home() / "volumes"


def _refusal(said: str, answer: str, remedy: str = "") -> LabError:
    return LabError(f"mount {said}", answer, remedy=remedy)


def _volume(text: str, state_dir: Path) -> Mount:
    """Read --volume [SOURCE:]TARGET[:OPTIONS]."""
    parts = text.split(":") if ":" in text else ["", text]
    if len(parts) > 3 or (":" in text and not parts[0]):
        raise _refusal(text, "not of the form SOURCE:TARGET[:OPTIONS]")
    source, target, *words = parts
    options = words[0].split(",") if words else []
    if source.startswith(("/", "./", "../")) or source in (".", ".."):
        return _bind(text, os.path.abspath(source), target, options)
    return _folder_of_the_labs(text, source, target, options, state_dir)


def _bind(said: str, source: str, target: str, words: Sequence[str]) -> Mount:
    """Return the mount of a folder or file of the host."""
    _check_source(said, source)
    propagations = [word for word in words if word in _PROPAGATIONS]
    for propagation in propagations:
        _check_propagation(said, propagation, source)
    others = [word for word in words if word not in propagations]
    options = _for_all(_options(said, others))
    return Mount(_target(said, target), "bind", source, (*options, *propagations))


def _folder_of_the_labs(
    said: str, name: str, target: str, words: Sequence[str], state_dir: Path
) -> Mount:
    """Return the mount of a named volume, or of one without a name, which is the container's."""
    destination = _target(said, target)
    folder = (
        named(name) if name else state_dir / "volumes" / destination.strip("/").replace("/", "-")
    )
    copies = [] if "nocopy" in words else ["copyup"]
    others = [word for word in words if word != "nocopy"]
    return Mount(destination, "volume", str(folder), (*_for_all(_options(said, others)), *copies))


def _target(said: str, target: str) -> str:
    if not target.startswith("/"):
        raise _refusal(said, f"its target {target!r} isn't absolute", "begin it with '/'")
    clean = "/" + os.path.normpath(target).strip("/")
    if clean == "/" or clean.split("/")[1] in ("proc", "sys"):
        raise _refusal(said, f"nothing may be laid over {clean}", "choose another target")
    return clean


def _check_source(said: str, source: str) -> None:
    try:
        os.stat(source)
    except OSError as error:
        remedy = f"mkdir -p {source}" if error.errno == errno.ENOENT else ""
        raise _refusal(said, f"its source {source}: {errno_text(error)}", remedy) from None


def _check_propagation(said: str, propagation: str, source: str) -> None:
    """Refuse what would silently not happen: mounts pass only to and from a shared mount."""
    kind = propagation.removeprefix("r")
    if kind == "shared" and os.geteuid() != 0:
        raise _refusal(said, "only root's containers may mount on the host", "use rslave")
    peers = {"private": "", "slave": r" (shared|master):", "shared": r" shared:"}[kind]
    if not re.search(peers, _mount_of(source)):
        raise _refusal(said, f"{source} isn't on a shared mount", "mount --make-rshared it")


def _mount_of(path: str) -> str:
    """Return the line of /proc/self/mountinfo for the mount that a path lies on."""
    fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        facts = Path(f"/proc/self/fdinfo/{fd}").read_text().split()
    finally:
        os.close(fd)
    number = facts[facts.index("mnt_id:") + 1]
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    return next((line for line in lines if line.split()[0] == number), "")


def _options(said: str, words: Sequence[str], more: tuple[str, ...] = ()) -> tuple[str, ...]:
    """Return the options of mount(8); nosuid and nodev are set unless they are lifted."""
    options = ["nosuid", "nodev", *more]
    for word in words:
        if word in _SET:
            options.append(word)
        elif word in _LIFTED:
            options = [option for option in options if option != _LIFTED[word]]
        elif word not in _IGNORED:
            known = ", ".join((*_SET, *_LIFTED, *_PROPAGATIONS, "nocopy", *_IGNORED))
            raise _refusal(said, f"unknown option {word!r}", f"use some of {known}")
    return tuple(dict.fromkeys(options))


def _for_all(options: Sequence[str]) -> tuple[str, ...]:
    """Return the options that hold for every mount below a source, too: "rro" for "ro"."""
    return tuple(f"r{word}" for word in options)


def _tmpfs(text: str) -> Mount:
    """Read --tmpfs TARGET[:OPTIONS]."""
    target, _, options = text.partition(":")
    return _memory(text, target, options.split(",") if options else [])


def _memory(said: str, target: str, words: Sequence[str]) -> Mount:
    values = {"mode": "1777"} | dict(word.split("=", 1) for word in words if "=" in word)
    for key, value in values.items():
        if key not in _TMPFS_VALUES:
            raise _refusal(said, f"a tmpfs has no {key!r}", f"use {', '.join(_TMPFS_VALUES)}")
        if not _TMPFS_VALUES[key].fullmatch(value):
            raise _refusal(said, f"{key} can't be {value!r}", "see tmpfs(5)")
    flags = _options(said, [word for word in words if "=" not in word], ("noexec",))
    settings = (f"{key}={value}" for key, value in values.items())
    return Mount(_target(said, target), "tmpfs", "tmpfs", (*flags, *settings))


def _mount(text: str, state_dir: Path) -> Mount:
    """Read --mount type=bind|volume|tmpfs,source=…,target=…,…"""
    given = dict(_pair(part) for part in text.split(","))
    kind = given.get("type", "volume")
    if kind not in _OWN:
        raise _refusal(text, f"unknown type {kind!r}", f"use {', '.join(_OWN)}")
    for key in given:
        if key not in (*_COMMON, *_OWN[kind]):
            keys = ", ".join((*_COMMON, *_OWN[kind]))
            raise _refusal(text, f"unexpected key {key!r} for a {kind}", f"use {keys}")
    if "target" not in given:
        raise _refusal(text, "it has no target", "add target=/PATH")
    words = ["ro"] * _truth(text, given, "readonly")
    source, target = given.get("source", ""), given["target"]
    if kind == "tmpfs":
        return _memory(text, target, [*words, *_sizes(text, given)])
    if kind == "volume":
        words += ["nocopy"] * _truth(text, given, "volume-nocopy")
        return _folder_of_the_labs(text, source, target, words, state_dir)
    if not source:
        raise _refusal(text, "a bind mount needs a source", "add source=PATH")
    return _bind(text, os.path.abspath(source), target, [*words, *_propagation(text, given)])


def _pair(part: str) -> tuple[str, str]:
    """Return a part's key, by its one name, and value."""
    key, _, value = part.partition("=")
    key = key.lower().removeprefix("tmpfs-")
    return _KEYS.get(key, key), value


def _truth(said: str, given: dict[str, str], key: str) -> bool:
    value = given.get(key, "false")
    if value not in _TRUTHS:
        raise _refusal(said, f"{key} can't be {value!r}", "use true or false")
    return _TRUTHS[value]


def _sizes(said: str, given: dict[str, str]) -> list[str]:
    if "source" in given:
        raise _refusal(said, "a tmpfs has no source")
    return [f"{key}={given[key]}" for key in ("size", "mode") if key in given]


def _propagation(said: str, given: dict[str, str]) -> list[str]:
    asked = given.get("bind-propagation", "rprivate")
    if asked not in _PROPAGATIONS:
        raise _refusal(said, f"unknown propagation {asked!r}", f"use {', '.join(_PROPAGATIONS)}")
    return [asked]
