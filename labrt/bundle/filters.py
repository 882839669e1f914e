"""`linux.seccomp` of a bundle (config-linux.md#seccomp): checked, then kept as it is."""

from __future__ import annotations

import json

from labrt import seccomp
from labrt.bundle.processes import absolute
from labrt.bundle.reading import U32, U64, Value

_ERRNO_MAX = 4095  # MAX_ERRNO, linux/err.h


def profile(told: Value) -> str:
    """Return the profile as JSON text, "" for none.

    Raises:
        LabError: a value that is none, or one that the lab can't fulfil.
    """
    if not told:
        return ""
    _check_action(told["defaultAction"], told["defaultErrnoRet"])
    for each in told["architectures"]:
        each.choice(seccomp.ARCHITECTURES)
    for each in told["flags"]:
        each.choice(seccomp.FLAGS)
    for each in told["syscalls"]:
        _check_rule(each)
    if seccomp.supervised(told.data):
        _check_supervision(told)
    return json.dumps(told.data, separators=(",", ":"))


def _check_supervision(told: Value) -> None:
    absolute(told["listenerPath"])
    told["listenerMetadata"].text("")
    if told["defaultAction"].data == "SCMP_ACT_NOTIFY":
        raise told["defaultAction"].wrong("the supervisor would be asked before it can be told")
    for each in told["syscalls"]:
        if each["action"].data == "SCMP_ACT_NOTIFY" and "sendmsg" in each["names"].texts():
            raise each["names"].wrong("sendmsg is what tells the supervisor")


def _check_rule(told: Value) -> None:
    if not told["names"].texts():
        raise told["names"].wrong("there is none")
    _check_action(told["action"], told["errnoRet"])
    for each in told["args"]:
        each["index"].number(high=5)
        each["value"].number(high=U64)
        each["valueTwo"].number(0, high=U64)
        each["op"].choice(seccomp.COMPARISONS)


def _check_action(action: Value, number: Value) -> None:
    name = action.choice(seccomp.ACTIONS)
    number.number(0, high=_ERRNO_MAX if name == "SCMP_ACT_ERRNO" else min(U32, 0xFFFF))
    if number and name not in seccomp.WITH_ERRNO:
        raise number.wrong(f"{name} has no errno")
