"""The builder: carries out a Containerfile, stage by stage, and names what comes of it.

Only the stages that the wanted one needs are built, each when it is first asked for. A step that
changes files is looked up in the cache (`cache.py`) before it is done.
"""

from __future__ import annotations

import copy
import os
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from labrt.building import cache, configuration, steps
from labrt.building.configuration import PROXIES, SETTINGS, State, expanded
from labrt.building.containerfile import Containerfile, Instruction, LineError, Stage, parse
from labrt.building.ignore import ignored
from labrt.building.steps import EPOCH, Work
from labrt.errors import LabError, errno_text
from labrt.images import making, references, store
from labrt.images.making import Layer
from labrt.images.store import Image
from labrt.options import Options

FILES = ("Containerfile", "Dockerfile")
SCRATCH = "scratch"


@dataclass(frozen=True)
class Wish:
    """What is to be built.

    Attributes:
        folder: the context.
        tag: the new image's name.
        file: the Containerfile, None for the context's own.
        arguments: of --build-arg.
        target: the stage that is wanted, "" for the last.
        options: limits and network of the containers that RUN starts.
        stdin: descriptor of their standard input.
    """

    folder: Path
    tag: str
    file: Path | None = None
    arguments: dict[str, str] = field(default_factory=dict)
    target: str = ""
    use_cache: bool = True
    options: Options = Options()
    stdin: int = 0


def build(wish: Wish) -> Image:
    """Build an image and name it. What happens is told on standard error.

    Raises:
        LabError: it could not be built; nothing has the name then that hadn't before.
    """
    tag = str(references.parse(wish.tag))
    if not wish.folder.is_dir():
        raise LabError(f"build {wish.folder}", "there is no such folder")
    file = _file(wish)
    with _named(f"read {file}"):
        containerfile = parse(file.read_text(encoding="utf-8"), file.name)
    with store.adding():
        return Builder(wish, containerfile).build(tag)


def _file(wish: Wish) -> Path:
    if wish.file is not None:
        return wish.file
    for file in map(wish.folder.joinpath, FILES):
        if file.exists():
            return file
    raise LabError(f"build {wish.folder}", f"no {' or '.join(FILES)} is in it", remedy="-f FILE")


def find(name: str) -> Image:
    """Return an image of the store, or one that a registry has.

    Raises:
        LabError: nobody has it.
    """
    known = set(store.spellings(name)) & set(store.names())
    if known or not references.parse(name).registry:
        return store.resolve(name)
    from labrt.images import registry  # only now: HTTP takes 60 ms to import

    return registry.pull(name)


def network() -> str:
    """Return what RUN has by default: a way to the world, as with Docker, where there is one."""
    if os.geteuid() == 0:
        return "bridge"
    return "pasta" if shutil.which("pasta") and os.path.exists("/dev/net/tun") else "none"


@contextmanager
def _named(tried: str) -> Iterator[None]:
    """Give the errors of the block the name of what was tried, such as a Containerfile's line."""
    try:
        yield
    except OSError as error:
        about = f" ({error.filename})" if error.filename else ""
        raise LineError(tried, errno_text(error) + about) from error
    except UnicodeDecodeError:
        raise LineError(tried, "it isn't UTF-8") from None
    except LabError as error:
        if isinstance(error, LineError):
            raise
        answer = ": ".join(part for part in (error.tried, error.answer) if part)
        raise LineError(tried, answer, error.cause, error.remedy) from error


def _tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


class Builder:
    """One build."""

    def __init__(self, wish: Wish, file: Containerfile) -> None:
        self._wish = wish
        self._file = file
        self._epoch = _epoch({**os.environ, **wish.arguments})
        self._context = steps.Context(os.path.realpath(wish.folder), ignored(wish.folder))
        self._built: dict[int, State] = {}
        self._asked = {*PROXIES, EPOCH}
        self._outer = configuration.platforms()
        for step in file.arguments:
            self._outer.update(self._declared(step, self._outer, {}))

    def build(self, tag: str) -> Image:
        """Build the wanted stage, and what it needs; name it."""
        state = self._stage(self._wanted())
        for name in sorted(self._wish.arguments.keys() - self._asked):
            _tell(f"labrt: no ARG asks for --build-arg {name}")
        config = {**state.config, "created": configuration.timestamp(self._epoch)}
        return making.image(tag, state.layers, config)

    def _wanted(self) -> Stage:
        name = self._wish.target
        stage = self._file.stage(name) if name else self._file.stages[-1]
        if stage is None:
            known = ", ".join(each.name for each in self._file.stages if each.name)
            raise LabError(f"build the stage {name!r}", "there is none", f"there are: {known}")
        return stage

    def _stage(self, stage: Stage) -> State:
        """Return a stage's outcome, building it when it is first asked for."""
        if stage.number not in self._built:
            state = self._begun(stage)
            for number, step in enumerate(stage.steps, start=2):
                with _named(step.line):
                    self._do(state, stage, step, _title(stage, number))
            self._built[stage.number] = state
        return self._built[stage.number]

    def _begun(self, stage: Stage) -> State:
        """Carry out FROM."""
        base = stage.base
        with _named(base.line):
            name = expanded(base.words[0], base, self._outer)
            asked = expanded(base.flags.get("platform", ""), base, self._outer)
            if asked not in ("", ours := self._outer["TARGETPLATFORM"]):
                raise LabError(f"{asked} is not this machine's platform, {ours}")
            state = self._base(name, stage.number)
        _tell(f"{_title(stage, 1)} {base.written}")
        return state

    def _base(self, name: str, before: int) -> State:
        if name == SCRATCH:
            return configuration.scratch(self._epoch)
        found = self._stage_or_image(name, before)
        return replace(copy.deepcopy(found), own_command=False)

    def _stage_or_image(self, name: str, before: int) -> State:
        if (stage := self._file.stage(name, before)) is not None:
            return self._stage(stage)
        try:
            image = find(name)
        except LabError as error:
            if self._file.stage(name) is not None:
                raise LabError(f"the stage {name!r} doesn't come before this one") from error
            raise
        return configuration.based_on(image, making.layers(image), self._epoch)

    def _do(self, state: State, stage: Stage, step: Instruction, title: str) -> None:
        """Carry out one instruction."""
        work = self._work(state, stage, step)
        if work is None:
            _tell(f"{title} {step.written}")
        layer = self._made(work, f"{title} {step.written}") if work else None
        if step.keyword == "ARG":
            state.arguments.update(self._declared(step, state.values, self._outer))
        elif step.keyword in SETTINGS:
            SETTINGS[step.keyword](state, step)
        state.record(step.written, layer)

    def _work(self, state: State, stage: Stage, step: Instruction) -> Work | None:
        """What an instruction does to the files, None for nothing."""
        wish = self._wish
        if step.keyword == "RUN":
            return steps.run(state, step, wish.options, wish.arguments, wish.stdin)
        if step.keyword == "WORKDIR":
            return steps.make_working_dir(state, step)
        if step.keyword not in ("ADD", "COPY"):
            return None
        name = expanded(step.flags.get("from", ""), step, state.values)
        source = self._stage_or_image(name, stage.number) if name else self._context
        return steps.copy(state, step, source)

    def _made(self, work: Work, told: str) -> Layer | None:
        """Look a step's layer up in the cache, or make it and keep it there."""
        known = cache.find(work.key) if self._wish.use_cache else None
        if known is not None:
            _tell(f"{told}  CACHED")
            return known.layer
        _tell(told)
        begun = time.monotonic()
        layer = work.make()
        cache.keep(work.key, layer)
        size = f"{layer.blob.size:,} bytes" if layer else "nothing changed"
        _tell(f"    {time.monotonic() - begun:.2f} s, {size}")
        return layer

    def _declared(
        self, step: Instruction, values: dict[str, str], outer: dict[str, str]
    ) -> dict[str, str]:
        found = configuration.declared(step, self._wish.arguments, values, outer)
        self._asked.update(found)
        return {name: value for name, value in found.items() if value is not None}


def _title(stage: Stage, number: int) -> str:
    return f"[{stage.name or stage.number} {number}/{len(stage.steps) + 1}]"


def _epoch(environment: dict[str, str]) -> int:
    """The time of everything that is built: SOURCE_DATE_EPOCH, by default 0."""
    text = environment.get(EPOCH) or "0"
    if not text.isdecimal() or len(text) > 11:
        raise LabError(f"read {EPOCH}={text}", "not a number of seconds since 1970")
    return int(text)
