"""Lesson "user": root that isn't (notebook 07, user_namespaces(7))."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from labrt.lessons import drawn, id_maps, mount_table, needs, observe
from labrt.lessons.lesson import Check, Lesson, Prediction, Verdict

LETTERS = ("alpha", "beta", "delta", "gamma", "kappa", "omega", "sigma", "theta", "zeta", "iota")


def _owner(host_uid: int) -> str:
    """Judge user-p1. Who the container's root is on the host."""
    return "a" if host_uid == 0 else "b"


def _read(said: str) -> str:
    """Judge user-p2. What came of reading the host's /etc/shadow."""
    return "b" if "ermission denied" in said else "a"


def _unmapped(uid: int, host_uid: int) -> str:
    """Judge user-p3. What `id -u` says without a map, and the uid on the host. (Somebody may have
    the overflow uid on the host, too: "nobody" does.)"""
    if uid == id_maps.overflow_uid():
        return "c"
    return "b" if uid == host_uid else "a"


def _shared_file(wanted: str) -> Verdict:
    """user-01: a file of the drawn name, in a folder of the host's, of a container's root."""
    told, passed = [], False
    for pid in observe.containers():
        roots = [each.host_id for each in id_maps.uid_map(pid) if each.container_id == 0]
        for path, owner in _owners(pid, wanted):
            who = "the container's root" if owner in roots else "not the container's root"
            told.append(f"{path} (pid {pid}) belongs to uid {owner} of the host, {who}")
            passed = passed or owner in roots
    return Verdict(
        passed=passed,
        expected=f"a file {wanted} in a folder of the host, made by a running container's root",
        saw="; ".join(told) or f"no running container with {wanted} in a folder of the host",
    )


def _owners(pid: int, name: str) -> Iterator[tuple[str, int]]:
    """Yield (path, uid on the host) of the files of that name on a container's bind mounts."""
    mounts = [each for each in mount_table.mounted(pid) if each.root != "/"]
    for folder in (Path(each.point) for each in mounts if not each.point.startswith("/proc")):
        try:
            owner = Path(f"/proc/{pid}/root{folder}", name).stat().st_uid
        except OSError:
            continue
        yield f"{folder}/{name}", owner


def _numbered(wanted: str) -> Verdict:
    """user-02: a process that labrt didn't start, which has the drawn uid in its user namespace."""
    found = {}
    for pid in observe.strangers("user"):
        real = observe.status(pid, "Uid").split()[1:2]
        for each in id_maps.uid_map(pid):
            inside = each.container_id + int(real[0]) - each.host_id if real else -1
            if each.container_id <= inside < each.container_id + each.size:
                found[pid] = inside
    told = ", ".join(f"uid {uid} (pid {pid})" for pid, uid in found.items())
    return Verdict(
        passed=int(wanted) in found.values(),
        expected=f"a process that labrt didn't start, with the uid {wanted} in its user namespace",
        saw=f"in other user namespaces: {told}"
        if found
        else "no process with a uid in another one",
    )


LESSON = Lesson(
    key="user",
    number=7,
    title="root that isn't",
    claims=("C18",),
    needs=(needs.CONTAINER, needs.COMMANDS, needs.PS, needs.VM),
    predictions=(
        Prediction(
            id="user-p1",
            choices={
                "a": "0, root: it is one process with one owner",
                "b": "another number, somebody without rights",
            },
            judge=_owner,
        ),
        Prediction(
            id="user-p2",
            choices={
                "a": "it reads the file, for root may read everything",
                "b": "the kernel refuses: permission denied",
            },
            judge=_read,
        ),
        Prediction(
            id="user-p3",
            choices={
                "a": "0: it made the namespace, so it is root there",
                "b": "the same number as outside",
                "c": "65534, the number for those who have none",
            },
            judge=_unmapped,
        ),
    ),
    checks=(
        Check(
            id="user-01",
            observe=_shared_file,
            hints=(
                "The option volume shows the container a folder of the host, as in section 3. May "
                "the container's root write to yours?",
                "For the kernel, the container's root is the number of section 4. Is that the "
                "folder's owner? If not, what may others do in it? (man chmod)",
                "The container must still run while the check looks.",
            ),
            draw=drawn.name(LETTERS),
        ),
        Check(
            id="user-02",
            observe=_numbered,
            hints=(
                "The cell above writes a map. What does the first of its three numbers say?",
                "A map is written once. Begin anew with another process.",
                "Without rights you may map one number: your own, to any number inside.",
            ),
            draw=drawn.number(1000, 50000),
        ),
    ),
)
