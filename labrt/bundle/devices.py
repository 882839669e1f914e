"""`linux.devices` and `linux.resources.devices` of a bundle (config-linux.md#devices)."""

from __future__ import annotations

import os
import stat

from labrt import device_rules
from labrt.bundle.reading import ID, U32, Value
from labrt.devices import in_user_namespace
from labrt.spec import Device, DeviceRule

_NODES = {"c": "c", "u": "c", "b": "b", "p": "p"}  # "u": a character device without a buffer
_MOST = (1 << 12) - 1, (1 << 20) - 1  # of major and minor (makedev(3), linux/kdev_t.h)


def nodes(told: Value) -> tuple[Device, ...]:
    """Declare the nodes that the container finds beside the default ones.

    Raises:
        LabError: a value that is none.
    """
    return tuple(map(_node, told))


def _node(told: Value) -> Device:
    kind = _NODES[told["type"].choice(_NODES)]
    path = told["path"].text()
    if not path.startswith("/") or os.path.normpath(path) == "/":
        raise told["path"].wrong(f"{path!r} is no absolute path of a file")
    numbered = kind != "p"
    major, minor = (
        told[name].number(None if numbered else 0, high=high)
        for name, high in zip(("major", "minor"), _MOST, strict=True)
    )
    mode = stat.S_IMODE(told["fileMode"].number(0o666, high=U32))  # engines leave its type in
    uid, gid = (told[name].number(0, high=ID) for name in ("uid", "gid"))
    return Device(f"/{os.path.normpath(path).strip('/')}", kind, major, minor, mode, uid, gid)


def rules(told: Value) -> tuple[DeviceRule, ...]:
    """Declare which devices the container may use: the bundle's rules, then the default ones, which
    every container may. None where we aren't the host's root: the kernel lets nobody else rule over
    devices, and gives no nodes but those that are bound.

    Raises:
        LabError: a value that is none.
    """
    asked = tuple(map(_rule, told))
    is_hosts_root = os.geteuid() == 0 and not in_user_namespace()
    return (*asked, *device_rules.DEFAULT) if is_hosts_root else ()


def _rule(told: Value) -> DeviceRule:
    if not told["allow"]:
        raise told["allow"].wrong("it is missing")
    access = told["access"].text("") or "rwm"
    if not {*access} <= {*"rwm"}:
        raise told["access"].wrong(f"{access!r} is not made of r, w and m")
    kind = told["type"].choice(("a", "b", "c", ""), "a") or "a"
    major, minor = (
        told[name].number(-1, -1, high)
        for name, high in zip(("major", "minor"), _MOST, strict=True)
    )
    return DeviceRule(told["allow"].flag(), kind, major, minor, access)
