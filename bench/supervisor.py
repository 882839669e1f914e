"""A small process that is the parent of whatever starts virtual machines.

    python -m bench.supervisor -- COMMAND…

libvirt starts QEMU as a daemon: its parent ends at once, and the orphan's new parent must reap it
when it ends. libvirt waits for that, about ten times per start, when it asks QEMU what it can do.
Where process 1 reaps late, a start takes 40 s instead of a quarter of a second. So this process:

- is a child subreaper (PR_SET_CHILD_SUBREAPER, prctl(2)): orphans become its children, and it
  reaps them at once. It must be the *parent* of the process that uses libvirt: reaping inside that
  process would take from libvirt the children that it waits for itself;
- hides a /dev/kvm that doesn't work (`bench.accelerator`), because libvirt, when it finds one,
  discards all that it has learnt about QEMU. Only in a mount namespace of its own: the host keeps
  its node;
- hands on the signals it gets;
- ends what is left of its orphans when the command has ended, however that ended; after kill -9
  also removes what isn't a process (`killed.py`);
- is two processes, either of which does all that where the other is killed (kill -9): the command
  and what it has started end then, too (PR_SET_PDEATHSIG).

Its exit status is the command's, 128 + n if signal n ended it, as in shells.
Host side; single-threaded, as unshare(2) and prctl(2) demand.
"""

from __future__ import annotations

import os
import signal
import stat
import sys
import time
from pathlib import Path
from typing import NoReturn

from labrt import paths, syscalls
from labrt.errors import LabError, errno_text

HIDDEN = "LAB_KVM_HIDDEN"  # in the command's environment: why it sees no /dev/kvm
GRACE = 3.0  # seconds an orphan has to end after SIGTERM

FORWARDED = {
    signal.SIGHUP,
    signal.SIGINT,
    signal.SIGQUIT,
    signal.SIGTERM,
    signal.SIGUSR1,
    signal.SIGUSR2,
}
SI_USER_MAX = 0  # sigaction(2): si_code > 0 means that the kernel sent it


def supervise(command: list[str]) -> int:
    """Run `command` to its end and return its exit status. Ends every orphan it leaves, also when
    this process, or the one between it and the command, is killed.
    """
    _adopt()
    outer = os.getpid()
    child = os.fork()
    if child == 0:
        os._exit(_between(outer, command))
    status = _seen_off(child)
    if status == 128 + signal.SIGKILL:
        print("lab: it was killed", file=sys.stderr)
        _seen_off(_spawn([sys.executable, "-m", "bench.killed"]))
    return status


def _between(outer: int, command: list[str]) -> int:
    """In the process between: run the command as its parent; return its exit status, or 127."""
    syscalls.prctl(syscalls.PR_SET_PDEATHSIG, signal.SIGTERM)  # which is handed on to the command
    if os.getppid() != outer:  # it died before the line above
        return 1
    _adopt()
    try:
        return _seen_off(_spawn(command))
    except LabError as error:
        print(f"lab: {error}", file=sys.stderr)
        return 127


def _adopt() -> None:
    """Become the parent of orphans, and hear of what ends and of signals by waiting for them."""
    syscalls.prctl(syscalls.PR_SET_CHILD_SUBREAPER, 1)
    signal.pthread_sigmask(signal.SIG_BLOCK, FORWARDED | {signal.SIGCHLD})


def _seen_off(child: int) -> int:
    """Wait for a child's end, end what it leaves, and return its exit status as in shells."""
    status = _wait(child)
    end_orphans()
    return status if status >= 0 else 128 - status


def hide_kvm() -> None:
    """Take /dev/kvm out of sight of this process and its children (mount_namespaces(7)).

    An overlay whose upper-most layer holds nothing but a whiteout of "kvm" is laid over /dev; what
    is mounted below /dev is bound to its place again.

    Raises:
        OSError: not root, or the kernel refuses.
    """
    syscalls.unshare(syscalls.CLONE_NEWNS)
    syscalls.mount(None, "/", None, syscalls.MS_REC | syscalls.MS_PRIVATE)
    mounted = _mount_points_below("/dev")
    layer = paths.run_dir() / f"no-kvm-{os.getpid()}"
    layer.mkdir(mode=0o700)
    dev = os.open("/dev", os.O_PATH | os.O_DIRECTORY)
    try:
        syscalls.mount("tmpfs", layer, "tmpfs", 0, "mode=755")
        os.mknod(layer / "kvm", stat.S_IFCHR, os.makedev(0, 0))  # overlayfs calls this a whiteout
        syscalls.mount("overlay", "/dev", "overlay", 0, f"lowerdir={layer}:/dev")
        for point in mounted:
            old = f"/proc/self/fd/{dev}/{point.relative_to('/dev')}"
            syscalls.mount(old, point, None, syscalls.MS_BIND | syscalls.MS_REC)
        syscalls.umount2(layer, syscalls.MNT_DETACH)
    finally:
        os.close(dev)
        layer.rmdir()


def end_orphans() -> None:
    """End every child that is left: SIGTERM, and after `GRACE` seconds SIGKILL.

    A killed process's own children become ours in turn, so this goes on until there are none.
    """
    deadline = time.monotonic() + GRACE
    sent: dict[int, signal.Signals] = {}
    while _reap() is not None and (orphans := children()):
        late = time.monotonic() > deadline
        wanted = signal.SIGKILL if late else signal.SIGTERM
        for pid in orphans:
            if sent.get(pid) != wanted:
                os.kill(pid, wanted)  # ours and not yet reaped: the pid can't be another's
                sent[pid] = wanted
        left = 1.0 if late else max(0.0, deadline - time.monotonic())
        signal.sigtimedwait({signal.SIGCHLD}, left)


def children() -> list[int]:
    """Return the pids of this process's children, from /proc/PID/stat (proc(5))."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and _parent(entry) == os.getpid():
            found.append(int(entry.name))
    return found


def _parent(folder: Path) -> int:
    try:
        text = (folder / "stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return 0  # it has ended and was reaped by another
    return int(text.rpartition(")")[2].split()[1])


def _mount_points_below(folder: str) -> list[Path]:
    """Return what is mounted below `folder`, outermost first, each once (proc(5), mountinfo)."""
    points: list[Path] = []
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        point = Path(line.split()[4].encode().decode("unicode_escape"))  # a blank reads \040
        inside = point.is_relative_to(folder) and point != Path(folder)
        if inside and not any(point.is_relative_to(seen) for seen in points):
            points.append(point)
    return points


def _spawn(command: list[str]) -> int:
    """Start the command; it dies if this process does. An exec that fails answers over a pipe."""
    ours, theirs = os.pipe()
    supervisor = os.getpid()
    child = os.fork()
    if child == 0:
        _exec(command, supervisor, theirs)
    os.close(theirs)
    with os.fdopen(ours, "rb") as answers:
        answer = answers.read()
    if answer:
        os.waitpid(child, 0)
        raise LabError(f"run {command[0]}", answer.decode())
    return child


def _exec(command: list[str], supervisor: int, answers: int) -> NoReturn:
    """In the child: become the command."""
    try:
        syscalls.prctl(syscalls.PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != supervisor:  # it died before the line above
            os._exit(1)
        signal.pthread_sigmask(signal.SIG_SETMASK, set())
        os.execvp(command[0], command)
    except OSError as error:
        os.write(answers, errno_text(error).encode())
    os._exit(127)


def _wait(child: int) -> int:
    """Reap and forward until `child` ends; return its exit status, or -n if signal n ended it."""
    while True:
        info = signal.sigwaitinfo(FORWARDED | {signal.SIGCHLD})
        if info.si_signo == signal.SIGCHLD:
            ended = _reap() or {}
            if child in ended:
                return os.waitstatus_to_exitcode(ended[child])
        elif info.si_code <= SI_USER_MAX:  # Ctrl-C reaches the command without our help
            os.kill(child, info.si_signo)


def _reap() -> dict[int, int] | None:
    """Reap all that have ended: pid → wait status. None if there are no children at all."""
    ended: dict[int, int] = {}
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return ended or None
        if pid == 0:
            return ended
        ended[pid] = status


def _hide_unqualified_kvm() -> None:
    """Ask `bench.accelerator`; where KVM isn't used, hide its node if this user may."""
    from bench import accelerator

    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return  # libvirt will see it as we do
    verdict = accelerator.verdict()
    if verdict.accelerator == "kvm":
        return
    if os.geteuid() != 0:
        return  # TCG works all the same; libvirt starts each VM some seconds later
    try:
        hide_kvm()
    except OSError as error:
        print(f"lab: /dev/kvm stays visible ({errno_text(error)}): VMs start late", file=sys.stderr)
        return
    os.environ[HIDDEN] = verdict.reason


def main(arguments: list[str]) -> int:
    """Run the command after "--"."""
    if arguments[:1] != ["--"] or len(arguments) < 2:
        print("usage: python -m bench.supervisor -- COMMAND…", file=sys.stderr)
        return 2
    try:
        _hide_unqualified_kvm()
    except LabError as error:
        print(f"lab: {error}", file=sys.stderr)
        return 127
    return supervise(arguments[1:])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
