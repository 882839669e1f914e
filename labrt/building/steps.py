"""Steps: the instructions that change files, each as a key for the cache and as work to be done.

RUN is a container (docs/build.md). COPY, ADD and WORKDIR are the lab's own work in the root.
"""

from __future__ import annotations

import hashlib
import io
import os
import re
import tarfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import IO, Any, cast

from labrt import mapped, users
from labrt.building import cache, copies, roots
from labrt.building.configuration import PROXIES, State, command, expanded, working_dir
from labrt.building.containerfile import Document, Instruction
from labrt.building.copies import Copy
from labrt.building.packing import Packer
from labrt.images.making import Layer
from labrt.options import Options

EPOCH = "SOURCE_DATE_EPOCH"  # https://reproducible-builds.org/specs/source-date-epoch/
_REMOTE = re.compile(r"[a-z+]+://|git@")
_ROOTS = ("", "0", "0:0", "root", "root:root")


@dataclass(frozen=True)
class Work:
    """What makes a layer, or None where nothing changes; and what it depends on."""

    key: str
    make: Callable[[], Layer | None]


@dataclass(frozen=True)
class Context:
    """The folder that COPY takes from: its path without links, and what of it is left out."""

    folder: str
    ignored: Callable[[str], bool]


def run(
    state: State, step: Instruction, options: Options, given: Mapping[str, str], stdin: int
) -> Work:
    """RUN: the program sees the image's environment and the build arguments.

    Args:
        given: of --build-arg; those that name proxies need no ARG, and don't count for the cache.
    """
    args = _program(state, step)
    own = {name: value for name, value in state.arguments.items() if name not in state.env}
    env = {EPOCH: str(state.epoch), **own}
    proxies = {name: value for name, value in given.items() if name in PROXIES}

    def make() -> Layer | None:
        entries = tuple(f"{name}={value}" for name, value in {**proxies, **env}.items())
        wishes = replace(options, env=entries)
        return roots.run(state.image(), args, wishes, stdin, state.epoch)

    seen = [env, state.env, state.inner.get("User"), state.working_dir]
    return Work(cache.key(state.layers, "RUN", args, seen), make)


def _program(state: State, step: Instruction) -> list[str]:
    """The exec form as it is; a text, with the documents that follow it, by the shell."""
    if step.listed is not None:
        return step.listed
    if len(step.documents) == 1 and len(step.words) == 1:
        script = step.documents[0].text
        if script.startswith("#!"):
            raise step.error("a document with an interpreter of its own is not supported")
        return [*state.shell, script]
    documents = "".join(f"\n{each.text}{each.name}" for each in step.documents)
    return [*command(state, step)[:-1], step.text + documents]


def make_working_dir(state: State, step: Instruction) -> Work:
    """WORKDIR: the folder is made where it is missing."""
    path = working_dir(state, step)

    def work() -> None:
        os.close(copies.make_folder(path))

    key = cache.key(state.layers, "WORKDIR", path, state.epoch)
    return Work(key, lambda: roots.change(state.image(), f"make {path}", work, state.epoch))


def copy(state: State, step: Instruction, source: Context | State) -> Work:
    """COPY and ADD, from the context or from the root of another stage or image."""
    wanted = _copy(state, step)
    owned = replace(wanted, chown=wanted.chown or _everybody())

    def make() -> Layer | None:
        with roots.scratch_file() as archive:
            single = _gathered(archive, wanted, source, state.epoch)
            if isinstance(source, Context) and [single, _digest(archive)] != content:
                raise step.error("the context has changed meanwhile")

            def work() -> None:
                copies.place(archive, owned, single)

            return roots.change(state.image(), f"copy to {owned.target}", work, state.epoch)

    content = _content(wanted, source, state.epoch)
    told = [owned.sources, owned.target, owned.chown, owned.chmod, owned.documents, state.epoch]
    return Work(cache.key(state.layers, step.keyword, told, content), make)


def _content(wanted: Copy, source: Context | State, epoch: int) -> object:
    """What tells whether the sources are the same: their bytes, or their image's layers."""
    if isinstance(source, State):
        return [layer.diff_id for layer in source.layers]
    digest = _Digest()
    single = _gathered(cast(IO[bytes], digest), wanted, source, epoch)
    return [single, digest.hexdigest()]


def _digest(file: IO[bytes]) -> str:
    file.seek(0)
    return hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]  # it is a file


def _gathered(stream: IO[bytes], wanted: Copy, source: Context | State, epoch: int) -> str:
    """Write the sources as an archive; return the one file's name, as `copies.gather`."""
    if isinstance(source, Context):
        return _packed(stream, wanted, source, epoch)
    whole = Context("/", lambda path: False)
    return roots.read(source.image(), lambda: _packed(stream, wanted, whole, epoch))


def _packed(stream: IO[bytes], wanted: Copy, source: Context, epoch: int) -> str:
    def dress(member: tarfile.TarInfo) -> None:
        if source.folder != "/":  # of the context, only contents and modes count
            member.uid = member.gid = 0
            member.mtime = epoch
            member.pax_headers = {}
        if wanted.chmod is not None and (member.isreg() or member.isdir()):
            member.mode = wanted.chmod

    packer = Packer(stream, epoch, dress)
    single = copies.gather(source.folder, wanted, packer, source.ignored)
    packer.close()
    stream.flush()
    return single


class _Digest(io.RawIOBase):
    """Takes bytes, keeps their digest."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()

    def write(self, data: Any) -> int:
        self._hash.update(data)
        return len(data)

    def hexdigest(self) -> str:
        return self._hash.hexdigest()


def _copy(state: State, step: Instruction) -> Copy:
    """Read the arguments of COPY or ADD."""
    words = [expanded(word, step, state.values) for word in step.listed or step.words]
    if len(words) < 2:
        raise step.error(f"{step.keyword} takes sources and a target")
    *sources, target = words
    documents = {f"<<{each.name}": each for each in step.documents}
    plain = [source for source in sources if source.replace("<<-", "<<") not in documents]
    if any(map(_REMOTE.match, plain)):
        raise step.error("only local files are copied", remedy="fetch it in a RUN, or beforehand")
    return Copy(
        tuple(plain),
        _target(state.working_dir, target),
        _chown(step, expanded(step.flags.get("chown", ""), step, state.values)),
        _chmod(step, expanded(step.flags.get("chmod", ""), step, state.values)),
        unpack=step.keyword == "ADD",
        documents=tuple((each.name, _text(state, step, each)) for each in step.documents),
    )


def _text(state: State, step: Instruction, document: Document) -> str:
    """A document's text; variables in it are put in, quotes stay."""
    if document.quoted:
        return document.text
    return re.sub(
        r"\$(\w+|\{\w+\})",
        lambda found: state.values.get(found[1].strip("{}"), ""),
        document.text,
        flags=re.ASCII,
    )


def _target(working_dir: str, target: str) -> str:
    """Return an absolute path; "/" at its end stays, and "." there means the same."""
    path = os.path.normpath(os.path.join(working_dir, target))
    only_folder = target.rpartition("/")[2] in ("", ".", "..")
    return f"{path.rstrip('/')}/" if only_folder else path


def _chown(step: Instruction, owner: str) -> str:
    if _everybody() and owner not in _ROOTS:
        raise step.error("your containers have no other id than root's", remedy=users.lacking())
    return owner


def _everybody() -> str:
    """Whom all is given to: root, where this user's containers have no other ids."""
    return "" if os.geteuid() == 0 or mapped.has_range() else "0:0"


def _chmod(step: Instruction, mode: str) -> int | None:
    if mode and not re.fullmatch(r"[0-7]{3,4}", mode):
        raise step.error(f"--chmod={mode} is not supported", remedy="octal, such as 755")
    return int(mode, 8) if mode else None
