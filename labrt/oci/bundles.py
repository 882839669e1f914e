"""From a bundle to its container: what `create` and `run` have in common."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

from labrt import cgroups, interpreter
from labrt.bundle import reading
from labrt.bundle.declaring import declare
from labrt.container import Running
from labrt.errors import LabError
from labrt.oci import handing, lifecycle
from labrt.oci.words import Option
from labrt.spec import Spec

OPTIONS = (
    Option("bundle", "the bundle's folder; default: this one", "DIR", short="b", default="."),
    Option("pid-file", "where its process's pid is written", "FILE"),
    Option("console-socket", "takes the terminal", "SOCKET"),
    Option("preserve-fds", "so many descriptors from 3 on are passed on", "N", default="0"),
    Option("no-new-keyring", "no session keyring of its own"),
    Option("no-pivot", "move the root over the host's in place of pivot_root(2)"),
)


def declared(given: SimpleNamespace, detached: bool = True) -> Spec:
    """Return the declaration of the bundle that the options name. From here on this program is one
    that the container can't overwrite (labrt/interpreter.py).

    Raises:
        LabError: the bundle is none, or asks for what can't be done.
    """
    _refuse(given)
    bundle = Path(given.bundle).resolve()
    spec = declare(given.id, bundle, reading.config(bundle), given.overall.systemd_cgroup)
    keyring = "" if given.no_new_keyring else f"_ses.{spec.id}"  # as runc calls it
    process = handing.inheriting(spec.process, given.preserve_fds)
    root = replace(spec.root, moved=given.no_pivot)
    spec = replace(spec, process=process, keyring=keyring, root=root)
    handing.check_console(process, given.console_socket, detached)
    interpreter.run_sealed(spec)
    return spec


def _refuse(given: SimpleNamespace) -> None:
    if given.overall.systemd_cgroup:
        _refuse_scope()


def _refuse_scope() -> None:
    from labrt import scopes  # seldom needed

    if reason := scopes.unavailable():
        remedy = "--cgroup-manager=cgroupfs (Podman), native.cgroupdriver=cgroupfs (Docker)"
        raise LabError("have systemd make the cgroup", reason, remedy=remedy)


def make(spec: Spec, given: SimpleNamespace) -> None:
    """Make a container that outlives this command, and hand its engine what it asked for.

    Raises:
        LabError, OSError: nothing is left of it.
    """
    with ExitStack() as failing:
        failing.callback(cgroups.remove_top)  # where it was the last in the lab's own
        running = lifecycle.create(spec)
        failing.callback(lifecycle.give_up, running)
        hand_over(running, given)
        failing.pop_all()


def hand_over(running: Running, given: SimpleNamespace) -> None:
    """Hand over the terminal and the pid, which engines take for the sign that all is made."""
    handing.send_terminal(given.console_socket, running.master)
    running.master = -1
    handing.write_pid(given.pid_file, running.pid)
