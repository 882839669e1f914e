"""Device rules: which devices a cgroup's processes may open or make (cgroups(7)).

Rules are in order, and of those that fit, the last one decides, for reading, writing and mknod(2)
each on its own. v1 has a controller for it, whose files take rule by rule
(https://docs.kernel.org/admin-guide/cgroup-v1/devices.html). v2 asks a program that is attached to
the cgroup (BPF_PROG_TYPE_CGROUP_DEVICE in bpf(2)): the rules are compiled to one.
"""

from __future__ import annotations

import errno
import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

from labrt import paths, syscalls
from labrt.spec import DeviceRule
from labrt.step import Context, Step

# What every container may do: make nodes, and use the default ones and its terminals (null(4),
# random(4), tty(4), pts(4)).
DEFAULT = (
    DeviceRule(True, "c", -1, -1, "m"),
    DeviceRule(True, "b", -1, -1, "m"),
    *(DeviceRule(True, "c", 1, minor) for minor in (3, 5, 7, 8, 9)),
    *(DeviceRule(True, "c", 5, minor) for minor in (0, 2)),
    DeviceRule(True, "c", 136),
)
NOTHING = DeviceRule(False)


def line(rule: DeviceRule) -> str:
    """Return a rule as v1's devices.allow and devices.deny take it: "c 1:3 rwm"."""
    if rule.type == "a":
        return "a"
    major, minor = ("*" if number < 0 else str(number) for number in (rule.major, rule.minor))
    return f"{rule.type} {major}:{minor} {rule.access}"


class DenyDevices(Step):
    """On v1."""

    side: ClassVar = "host"
    man: ClassVar = "cgroups(7)"
    reason: ClassVar = "a disk of the host's is out of reach even for who can make its node"

    def __init__(self, folder: str, rules: tuple[DeviceRule, ...]) -> None:
        self.folder = folder
        self.rules = rules

    def describe(self) -> str:
        rules = ", ".join(f"{'+' if rule.allow else '-'}{line(rule)}" for rule in self.rules)
        return f"write into devices.deny (-) and devices.allow (+) of {self.folder}: {rules}"

    def do(self, context: Context) -> None:
        for rule in (NOTHING, *self.rules):
            file = "devices.allow" if rule.allow else "devices.deny"
            for each in _of_each_type(rule):
                paths.write(f"{self.folder}/{file}", line(each))

    def likely(self, error: OSError) -> tuple[str, str]:
        if error.errno == errno.EPERM:
            return "the cgroup above it doesn't allow that device itself", "allow it there first"
        return "", ""


def _of_each_type(rule: DeviceRule) -> Iterator[DeviceRule]:
    """v1 takes "a" for everything; anything less for all types has a rule for either type."""
    if rule.type != "a" or (rule.major, rule.minor, rule.access) == (-1, -1, "rwm"):
        yield rule
        return
    for kind in "bc":
        yield DeviceRule(rule.allow, kind, rule.major, rule.minor, rule.access)


class AttachDeviceProgram(Step):
    """On v2. The program is the cgroup's and goes with it."""

    side: ClassVar = "host"
    man: ClassVar = "bpf(2)"
    reason: ClassVar = "a disk of the host's is out of reach even for who can make its node"

    def __init__(self, folder: Path, rules: tuple[DeviceRule, ...]) -> None:
        self.folder = folder
        self.rules = rules

    def describe(self) -> str:
        rules = ", ".join(f"{'+' if rule.allow else '-'}{line(rule)}" for rule in self.rules)
        return f"attach a program to {self.folder} that denies all but: {rules}"

    def do(self, context: Context) -> None:
        program = syscalls.bpf_prog_load(_CGROUP_DEVICE, compiled(self.rules))
        cgroup = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            # Those of the cgroups above and below are asked, too: all of them must agree.
            syscalls.bpf_prog_attach(cgroup, program, _ATTACH_DEVICE, _ALLOW_MULTI)
        finally:
            os.close(cgroup)
            os.close(program)

    def likely(self, error: OSError) -> tuple[str, str]:
        if error.errno == errno.EPERM:
            return "without CAP_BPF or CAP_SYS_ADMIN over the host", "run as root"
        return "", ""


# linux/bpf.h
_CGROUP_DEVICE = 15  # BPF_PROG_TYPE_CGROUP_DEVICE
_ATTACH_DEVICE = 6  # BPF_CGROUP_DEVICE
_ALLOW_MULTI = 2  # BPF_F_ALLOW_MULTI
_TYPES = {"b": 1, "c": 2}  # BPF_DEVCG_DEV_*
_ACCESS = {"m": 1, "r": 2, "w": 4}  # BPF_DEVCG_ACC_*
_LOAD, _AND32, _AND, _RSH32, _MOV, _MOV32, _EXIT = 0x61, 0x54, 0x57, 0x74, 0xB7, 0xBC, 0x95
_JNE, _JSET, _JUMP = 0x55, 0x45, 0x05


def _instruction(code: int, to: int = 0, by: int = 0, offset: int = 0, value: int = 0) -> bytes:
    """struct bpf_insn."""
    return struct.pack("<BBhi", code, by << 4 | to, offset, value)


def compiled(rules: tuple[DeviceRule, ...]) -> bytes:
    """Return the program for a list of rules; what none of them allows is denied.

    It goes through them backwards and keeps, in register 3, what of the access that was asked for
    no rule has decided yet: a rule that denies some of it ends with no, one that allows the rest of
    it with yes.
    """
    begin = [
        # struct bpf_cgroup_dev_ctx: access and type in the halves of one number, major, minor.
        _instruction(_LOAD, 2, 1, 0),
        _instruction(_MOV32, 3, 2),
        _instruction(_AND32, 2, value=0xFFFF),
        _instruction(_RSH32, 3, value=16),
        _instruction(_LOAD, 4, 1, 4),
        _instruction(_LOAD, 5, 1, 8),
    ]
    return b"".join([*begin, *map(_decision, reversed(rules)), *_answer(False)])


def _decision(rule: DeviceRule) -> bytes:
    bits = sum(_ACCESS[letter] for letter in rule.access)
    if rule.allow:
        # Whatever is left after it goes on to the next rule.
        act = [_instruction(_AND, 3, value=~bits), _instruction(_JNE, 3, 0, 2), *_answer(True)]
    else:
        act = [_instruction(_JSET, 3, 0, 1, bits), _instruction(_JUMP, offset=2), *_answer(False)]
    tests = [
        (register, value)
        for register, value in ((2, _TYPES.get(rule.type, -1)), (4, rule.major), (5, rule.minor))
        if value >= 0
    ]
    code = []
    for index, (register, value) in enumerate(tests):
        skipped = len(tests) - index - 1 + len(act)
        code.append(_instruction(_JNE, register, 0, skipped, value))
    return b"".join([*code, *act])


def _answer(yes: bool) -> list[bytes]:
    return [_instruction(_MOV, 0, value=int(yes)), _instruction(_EXIT)]
