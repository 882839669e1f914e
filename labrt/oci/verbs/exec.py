"""`labrt-oci exec ID CMD…`: one more process in a container."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

from labrt import capabilities, container, interpreter
from labrt.bundle import reading
from labrt.bundle.processes import process
from labrt.errors import LabError
from labrt.oci import handing, lifecycle, waiting
from labrt.oci.words import Option
from labrt.spec import Capabilities, Process, Spec

HELP = "run one more process in a container"
OPTIONS = (
    Option("process", "the whole process, as in config.json", "FILE", short="p"),
    Option("detach", "don't wait for its end", short="d"),
    Option("pid-file", "where its pid is written", "FILE"),
    Option("console-socket", "takes the terminal", "SOCKET"),
    Option("preserve-fds", "so many descriptors from 3 on are passed on", "N", default="0"),
    Option("ignore-paused", "also in a paused container: it runs when that goes on"),
    Option("cwd", "its working folder", "DIR"),
    Option("env", "one more variable", "NAME=VALUE", short="e", many=True),
    Option("user", "as whom it runs", "UID[:GID]", short="u"),
    Option("additional-gids", "one more supplementary group", "GID", short="g", many=True),
    Option("tty", "give it a terminal", short="t"),
    Option("cap", "one more capability", "CAP", short="c", many=True),
    Option("no-new-privs", "no program gives it more rights"),
)
OPERANDS = "ID [CMD…]"


def main(given: SimpleNamespace) -> int:
    states: tuple[lifecycle.Stage, ...] = ("created", "running")
    states += ("paused",) if given.ignore_paused else ()
    folder, spec = lifecycle.demand(given.id, "exec in", *states)
    asked = handing.inheriting(_asked(given, spec), given.preserve_fds)
    handing.check_console(asked, given.console_socket, given.detach)
    interpreter.run_sealed(spec)
    entered = container.enter(folder, asked, detached=given.detach, even_paused=True)
    try:
        handing.send_terminal(given.console_socket, _taken(entered, given.detach))
        handing.write_pid(given.pid_file, entered.pid)
    except BaseException:
        entered.kill()
        raise
    if given.detach:
        return 0
    with entered:
        return waiting.attend(entered)


def _taken(entered: container.Started, detached: bool) -> int:
    """Take its terminal to hand it over; -1 where it stays ours, or it has none."""
    if not detached:
        return -1
    master, entered.master = entered.master, -1
    return master


def _asked(given: SimpleNamespace, spec: Spec) -> Process:
    """Return what is to run: FILE's process, or else the container's own, changed as asked.

    Raises:
        LabError: it says nothing to run, or what can't be.
    """
    if given.process:
        own_users = any(ns.type == "user" for ns in spec.namespaces)
        return process(reading.file(Path(given.process)), own_users)
    if not given.cmd:
        raise LabError("read the command line", "neither --process nor a command is there")
    own = spec.process
    return replace(
        own,
        args=tuple(given.cmd),
        env=(*own.env, *given.env),
        cwd=given.cwd or own.cwd,
        user=_user(given.user) if given.user else own.user,
        additional_groups=(*own.additional_groups, *given.additional_gids),
        terminal=given.tty,
        capabilities=_with(own.capabilities, given.cap),
        no_new_privileges=own.no_new_privileges or given.no_new_privs,
    )


def _user(text: str) -> str:
    """Return UID[:GID]; ids alone, as with runc, which looks into no file of the image."""
    parts = text.split(":")
    if len(parts) > 2 or not all(part.isdecimal() for part in parts):
        raise LabError(f"become the user {text!r}", "not UID[:GID]")
    return text if len(parts) == 2 else f"{text}:0"


def _with(sets: Capabilities | None, more: list[str]) -> Capabilities | None:
    """Return capability sets with more in all of them, as runc does."""
    if unknown := set(more) - set(capabilities.NUMBERS):
        raise LabError(f"give it {', '.join(sorted(unknown))}", "there is no such capability")
    if not more:
        return sets
    had = vars(sets or Capabilities())
    return Capabilities(**{name: tuple(dict.fromkeys((*own, *more))) for name, own in had.items()})
