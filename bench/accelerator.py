"""Which accelerator runs the lab's guests: KVM if it is proved to, else TCG (software emulation).

/dev/kvm that opens proves nothing: on a host that is itself a virtual machine it may open, answer
every question, and then run no guest. So KVM is qualified by what it is wanted for: booting the
lab's own guest to its ready mark under a deadline.

The verdict is kept in LAB_HOME/accelerator.json with its reason, and asked for again when the
kernel, the boot, the KVM module or QEMU has changed. `LAB_ACCEL=kvm` or `tcg` overrules it.

Measurements under KVM and under TCG are never comparable; every row says which it was.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bench import guest, qemu
from bench.marks import READY
from bench.plain_qemu import booting
from bench.qemu import Accelerator, Machine
from bench.subjects.base import InstanceFailed
from labrt import paths
from labrt.errors import LabError, errno_text
from labrt.images import base

NODE = Path("/dev/kvm")
DEADLINE = 10.0  # seconds; a working KVM takes less than one
IMAGE = "busybox"
MEMORY = 256 * 1024 * 1024


@dataclass(frozen=True)
class Verdict:
    """The accelerator to use here.

    Attributes:
        reason: why, in one sentence, for people.
        module: the KVM module loaded ("kvm_intel", "kvm_amd", …), or None.
        boot: seconds that the qualifying boot took, or None if none was made or it failed.
    """

    accelerator: Accelerator
    reason: str
    module: str | None
    boot: float | None = None


def verdict() -> Verdict:
    """Return the verdict for this host, qualifying KVM if that hasn't been done yet.

    Raises:
        LabError: LAB_ACCEL is no accelerator; or KVM must be qualified and there is no guest to
            boot (set-up hasn't run).
    """
    if found := known():
        return found
    unusable = _no_node()
    found = Verdict("tcg", unusable, module()) if unusable else qualify()
    _keep(_key(unusable), found)
    return found


def known() -> Verdict | None:
    """Return the verdict, or None if it hasn't been asked for yet. Boots nothing.

    Raises:
        LabError: LAB_ACCEL is no accelerator, or there is no QEMU.
    """
    if said := os.environ.get("LAB_ACCEL"):
        return _overruled(said)
    # Our supervisor hides a KVM that doesn't qualify, and hands down the reason.
    if hidden := os.environ.get("LAB_KVM_HIDDEN"):
        return Verdict("tcg", hidden, module())
    return _kept(_key(_no_node()))


def told(qualify: bool = True) -> dict[str, Any]:
    """Return the verdict for a fingerprint; without one (no QEMU here, not known yet), "none" and
    why.

    Args:
        qualify: may start a guest to learn whether KVM serves, where that isn't known yet.
    """
    try:
        if found := verdict() if qualify else known():
            return asdict(found)
        return {"accelerator": "none", "reason": "not qualified yet", "module": None}
    except LabError as error:
        return {"accelerator": "none", "reason": str(error), "module": None}


def qualify(deadline: float = DEADLINE) -> Verdict:
    """Boot the lab's guest under KVM, now, and judge.

    Raises:
        LabError: there is no guest to boot.
    """
    name = module() or "unknown module"
    try:
        seconds = boot("kvm", deadline)
    except InstanceFailed as failure:
        why = f"KVM ({name}) doesn't boot the lab's guest: {failure}"
        return Verdict("tcg", why, module())
    why = f"KVM ({name}) boots the lab's guest in {seconds:.2f} s"
    return Verdict("kvm", why, module(), seconds)


def boot(
    accelerator: Accelerator,
    deadline: float,
    command: Callable[[Machine], list[str]] = qemu.arguments,
) -> float:
    """Boot the lab's guest once in plain QEMU; return the seconds from the call to its ready mark.

    Args:
        command: gives the QEMU command that starts a machine.

    Raises:
        InstanceFailed: QEMU ended, or the deadline passed. Nothing is left running.
        LabError: there is no guest to boot.
    """
    built = guest.build(base.ensure(IMAGE))
    with booting(built, accelerator, MEMORY, arguments=command) as it:
        try:
            it.ports.accept(deadline)
            left = deadline - (time.monotonic_ns() - it.called) / 1e9
            return (it.ports.marks.wait(READY, max(left, 0.0)) - it.called) / 1e9
        except InstanceFailed as failure:
            raise InstanceFailed(f"{failure} ({it.evidence()})") from None


def module() -> str | None:
    """Return the name of the KVM module that is loaded, as /sys/module tells it."""
    found = sorted(path.name for path in Path("/sys/module").glob("kvm_*"))
    return ",".join(found) or None


def _overruled(said: str) -> Verdict:
    if said == "kvm":
        return Verdict("kvm", "LAB_ACCEL=kvm overrules the qualification", module())
    if said == "tcg":
        return Verdict("tcg", "LAB_ACCEL=tcg overrules the qualification", module())
    raise LabError("choose the accelerator", f"LAB_ACCEL={said}", remedy="say kvm, tcg, or nothing")


def _no_node() -> str | None:
    """Return why KVM can't even be tried, with the remedy."""
    if not NODE.exists():
        return f"no {NODE}: no hardware virtualization here, or its module isn't loaded"
    try:
        os.close(os.open(NODE, os.O_RDWR | os.O_CLOEXEC))
    except OSError as error:
        return f"{NODE}: {errno_text(error)}; add your user to its group ({_group(NODE)})"
    return None


def _group(path: Path) -> str:
    try:
        return path.group()
    except KeyError:
        return str(path.stat().st_gid)


def _key(unusable: str | None) -> dict[str, str | None]:
    """What a verdict holds for; `unusable` is why the node can't even be tried."""
    return {
        "unusable": unusable,
        "kernel": os.uname().release,
        "boot_id": Path("/proc/sys/kernel/random/boot_id").read_text().strip(),
        "module": module(),
        "qemu": qemu.version(),
    }


def _path() -> Path:
    return paths.home() / "accelerator.json"


def _kept(key: dict[str, str | None]) -> Verdict | None:
    """Return the verdict of an earlier qualification, if it holds for what is here now."""
    try:
        kept: dict[str, Any] = json.loads(_path().read_text())
        return Verdict(**kept) if kept.pop("holds_for") == key else None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None  # none yet, or damaged: asking again mends it


def _keep(key: dict[str, str | None], found: Verdict) -> None:
    paths.make(_path().parent)
    told = json.dumps({**asdict(found), "holds_for": key}, indent=1) + "\n"
    paths.write_whole(_path(), told.encode())
