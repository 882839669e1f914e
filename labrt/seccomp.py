"""seccomp: which system calls the container may make (seccomp(2)).

A profile is the engines' JSON: rules by system call, some of them only with or without a capability
(`seccomp_default.json` is the lab's own). libseccomp compiles it to a program of the kernel's
packet filter machine. To load the library and compile takes 40 ms, so the program is kept under
LAB_HOME, by everything it depends on, and a start only hands it to the kernel (0.2 ms).

Profiles: https://docs.docker.com/engine/security/seccomp/ and the runtime specification,
config-linux.md#seccomp.

Lesson: notebook 16.
"""

from __future__ import annotations

import ctypes
import errno
import json
import os
import struct
import zlib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

from labrt import paths, syscalls
from labrt.calls import Call, call, pointers
from labrt.errors import LabError
from labrt.options import Options
from labrt.spec import Spec
from labrt.step import Context, Step

NOTIFY = 0x7FC00000  # SECCOMP_RET_USER_NOTIF
NEW_LISTENER = 8  # SECCOMP_FILTER_FLAG_NEW_LISTENER
# https://github.com/opencontainers/runtime-spec/blob/main/config-linux.md#seccomp, seccomp(2)
ACTIONS = {
    "SCMP_ACT_KILL": 0x00000000,
    "SCMP_ACT_KILL_THREAD": 0x00000000,
    "SCMP_ACT_KILL_PROCESS": 0x80000000,
    "SCMP_ACT_TRAP": 0x00030000,
    "SCMP_ACT_ERRNO": 0x00050000,  # with an errno in the low 16 bits, as with TRACE
    "SCMP_ACT_TRACE": 0x7FF00000,
    "SCMP_ACT_NOTIFY": NOTIFY,
    "SCMP_ACT_LOG": 0x7FFC0000,
    "SCMP_ACT_ALLOW": 0x7FFF0000,
}
WITH_ERRNO = ("SCMP_ACT_ERRNO", "SCMP_ACT_TRACE")
# linux/audit.h knows more; these are the specification's.
ARCHITECTURES = tuple(
    f"SCMP_ARCH_{name}"
    for name in (
        *("X86", "X86_64", "X32", "ARM", "AARCH64", "LOONGARCH64", "M68K", "RISCV64"),
        *("MIPS", "MIPS64", "MIPS64N32", "MIPSEL", "MIPSEL64", "MIPSEL64N32"),
        *("PPC", "PPC64", "PPC64LE", "S390", "S390X", "SH", "SHEB", "PARISC", "PARISC64"),
    )
)
FLAGS = {
    "SECCOMP_FILTER_FLAG_TSYNC": 0,  # the child has but one thread
    "SECCOMP_FILTER_FLAG_LOG": 2,
    "SECCOMP_FILTER_FLAG_SPEC_ALLOW": 4,
    "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV": 32,
}
COMPARISONS = {
    "SCMP_CMP_NE": 1,
    "SCMP_CMP_LT": 2,
    "SCMP_CMP_LE": 3,
    "SCMP_CMP_EQ": 4,
    "SCMP_CMP_GE": 5,
    "SCMP_CMP_GT": 6,
    "SCMP_CMP_MASKED_EQ": 7,
}
# Our machine's name in profiles' "arches", which are Go's.
_ARCHES = {"x86_64": "amd64", "aarch64": "arm64", "i686": "x86", "armv7l": "arm"}

_HEADER = struct.Struct("<II")


class BadProfile(LabError):
    """A profile that says what no profile can say."""

    def __init__(self, what: str) -> None:
        remedy = "see the runtime specification, config-linux.md#seccomp"
        super().__init__("compile the seccomp profile", what, remedy=remedy)


def chosen(wishes: Options) -> str:
    """Return the spec's `seccomp` for --security-opt and --privileged.

    Raises:
        LabError: the profile's file can't be read, or is none.
    """
    profile = "" if wishes.privileged else "default"
    for option in wishes.security_opt:
        name, _, value = option.replace(":", "=", 1).partition("=")
        if name == "seccomp":
            profile = _named(value)
    return profile


def _named(value: str) -> str:
    if value in ("unconfined", "default", "builtin"):
        return "" if value == "unconfined" else "default"
    try:
        profile = json.loads(Path(value).read_text())
        profile["defaultAction"]
    except OSError as error:
        raise LabError(f"read the seccomp profile {value!r}", error.strerror or "") from None
    except (ValueError, TypeError, KeyError):
        raise BadProfile(f"{value!r} is no JSON with a defaultAction") from None
    return json.dumps(profile, separators=(",", ":"))


def text(profile: str) -> str:
    """Return a profile's JSON text, where the spec says "default" for the lab's own."""
    if profile != "default":
        return profile
    return Path(__file__).with_name("seccomp_default.json").read_text()


@cache
def bpf(profile: str, capabilities: tuple[str, ...]) -> tuple[int, bytes]:
    """Return a profile's (flags for seccomp(2), filter program), from the cache if it is there.

    Args:
        profile: "default", or JSON text.
        capabilities: the container's bounding set, which some rules depend on.

    Raises:
        LabError: it can't be compiled.
    """
    profile = text(profile)
    sets = " ".join(sorted(capabilities))
    key = "\n".join([profile, sets, libseccomp_version(), *os.uname()[2:5:2], ""]).encode()
    kept = paths.home() / "seccomp" / f"{zlib.crc32(key):08x}"
    if found := _read(kept, key):
        return found
    flags, program = compile_profile(profile, capabilities)
    paths.make_passable(kept.parent)
    paths.write_whole(kept, key + _HEADER.pack(flags, len(program)) + program)
    return flags, program


def libseccomp_version() -> str:
    """Ask the library itself; the package that compiles takes twenty times as long to import."""
    try:
        library = ctypes.CDLL("libseccomp.so.2")
    except OSError:
        return "none"
    library.seccomp_version.restype = ctypes.POINTER(ctypes.c_uint * 3)
    return ".".join(map(str, library.seccomp_version().contents))


def _read(kept: Path, key: bytes) -> tuple[int, bytes] | None:
    """Read a cached file: all that the program depends on, its flags and length, the program. None
    if it isn't there whole."""
    data = kept.read_bytes() if kept.exists() else b""
    if not data.startswith(key) or len(data) < len(key) + _HEADER.size:
        return None
    flags, length = _HEADER.unpack_from(data, len(key))
    program = data[len(key) + _HEADER.size :]
    return (flags, program) if len(program) == length else None


def compile_profile(text: str, capabilities: tuple[str, ...]) -> tuple[int, bytes]:
    """Compile a profile's JSON text to (flags, filter program), as `bpf`."""
    try:
        import pyseccomp
    except (ImportError, RuntimeError):  # RuntimeError: without its library
        raise LabError(
            "compile the seccomp profile",
            "libseccomp is not installed",
            remedy="./lab setup, or --security-opt seccomp=unconfined",
        ) from None
    profile = json.loads(text)
    try:
        default = _action(profile["defaultAction"], profile.get("defaultErrnoRet"))
        compiled = pyseccomp.SyscallFilter(default)
        # As a search tree: longer, but the kernel takes half the time to load it.
        compiled.set_attr(pyseccomp.Attr.CTL_OPTIMIZE, 2)
        for architecture in _architectures(profile):
            _add_architecture(compiled, getattr(pyseccomp.Arch, architecture, None), architecture)
        for rule in profile.get("syscalls") or ():
            if applies(rule, capabilities):
                _add(compiled, rule, default)
        flags = sum(_known(FLAGS, flag, "flag") for flag in profile.get("flags") or ())
        flags |= NEW_LISTENER if supervised(profile) else 0
        return flags, _exported(compiled)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise BadProfile(f"{type(error).__name__}: {error}") from None


def supervised(profile: dict[str, Any]) -> bool:
    """Whether a profile has some system calls decided by a program outside (seccomp_unotify(2))."""
    actions = (rule["action"] for rule in profile.get("syscalls") or ())
    return "SCMP_ACT_NOTIFY" in (profile["defaultAction"], *actions)


def _known(table: dict[str, int], name: str, what: str) -> int:
    if name not in table:
        raise BadProfile(f"no {what} is called {name!r}")
    return table[name]


def _action(name: str, number: int | None) -> int:
    value = _known(ACTIONS, name, "action")
    return value | (errno.EPERM if number is None else number) if name in WITH_ERRNO else value


def _architectures(profile: dict[str, Any]) -> Iterator[str]:
    """Yield what the profile adds to this machine's own: OCI's list, or Docker's map of them."""
    machine = os.uname().machine.upper()
    for name in profile.get("architectures") or ():
        yield name.removeprefix("SCMP_ARCH_")
    for entry in profile.get("archMap") or ():
        if entry["architecture"].removeprefix("SCMP_ARCH_") == machine:
            for name in entry.get("subArchitectures") or ():
                yield name.removeprefix("SCMP_ARCH_")


def _add_architecture(compiled: Any, number: int | None, name: str) -> None:
    if number is None:
        raise BadProfile(f"no architecture is called {name!r}")
    try:
        compiled.add_arch(number)
    except FileExistsError:
        pass  # this machine's own
    except OSError:
        raise BadProfile(f"the architecture {name} is not of this machine's kind") from None


def applies(rule: dict[str, Any], capabilities: tuple[str, ...]) -> bool:
    """Whether a rule holds here: all of its `includes`, none of its `excludes`."""
    includes, excludes = rule.get("includes") or {}, rule.get("excludes") or {}
    machine = _ARCHES.get(os.uname().machine, os.uname().machine)
    return (
        set(includes.get("caps") or ()) <= set(capabilities)
        and machine in (includes.get("arches") or (machine,))
        and _release() >= _version(includes.get("minKernel") or "0")
        and not set(excludes.get("caps") or ()) & set(capabilities)
        and machine not in (excludes.get("arches") or ())
        and not (excludes.get("minKernel") and _release() >= _version(excludes["minKernel"]))
    )


def _release() -> list[int]:
    return _version(os.uname().release.partition("-")[0])


def _version(text: str) -> list[int]:
    return [int(part) for part in text.split(".")[:2]]


def _add(compiled: Any, rule: dict[str, Any], default: int) -> None:
    import pyseccomp

    action = _action(rule["action"], rule.get("errnoRet"))
    conditions = [_condition(each) for each in rule.get("args") or ()]
    if action == default:
        return  # libseccomp refuses what changes nothing
    for name in rule.get("names") or [rule["name"]]:
        if pyseccomp.resolve_syscall(pyseccomp.Arch.NATIVE, name) == -1:
            continue  # this libseccomp doesn't know it, so the default holds
        for alternative in _alternatives(conditions):
            compiled.add_rule(action, name, *(pyseccomp.Arg(*each) for each in alternative))


def _condition(told: dict[str, Any]) -> tuple[int, ...]:
    operator = _known(COMPARISONS, told["op"], "comparison")
    return told["index"], operator, told["value"], told.get("valueTwo") or 0


def _alternatives(conditions: list[tuple[int, ...]]) -> list[list[tuple[int, ...]]]:
    """Conditions hold together; but several on one argument are alternatives, as engines have it"""
    indices = [index for index, *_ in conditions]
    if len(set(indices)) == len(indices):
        return [conditions]
    return [[condition] for condition in conditions]


def _exported(compiled: Any) -> bytes:
    fd = os.memfd_create("bpf", os.MFD_CLOEXEC)
    with os.fdopen(fd, "rb") as file:
        compiled.export_bpf(file)
        file.seek(0)
        return file.read()


class CompileSeccomp(Step):
    side: ClassVar = "host"
    man: ClassVar = "seccomp(2)"
    reason: ClassVar = "the kernel takes a filter as a program, kept from start to start"
    vital: ClassVar = "there would be no filter to load; skip LoadSeccomp"

    def __init__(self, spec: Spec) -> None:
        sets = spec.process.capabilities
        self.profile = spec.seccomp
        self.capabilities = sets.bounding if sets else ()

    def describe(self) -> str:
        name = "default" if self.profile == "default" else "given"
        return f"take the {name} profile's program from LAB_HOME/seccomp, or make it"

    def do(self, context: Context) -> None:
        context.filter = bpf(self.profile, self.capabilities)


class LoadSeccomp(Step):
    """Without no_new_privs, loading takes CAP_SYS_ADMIN, so it must come before that is dropped;
    with it, this comes last, so that the filter need only allow what execve(2) takes."""

    side: ClassVar = "container"
    man: ClassVar = "seccomp(2)"
    reason: ClassVar = "system calls that no ordinary program needs are the kernel's weak spots"

    def describe(self) -> str:
        return "seccomp(SECCOMP_SET_MODE_FILTER, the compiled profile)"

    def calls(self, context: Context) -> list[Call] | None:
        flags, program = context.filter
        sock_fprog = pointers((program,), struct.pack("=H6x", len(program) // 8))
        return [call("seccomp", syscalls.SECCOMP_SET_MODE_FILTER, flags, sock_fprog)]

    def likely(self, error: OSError) -> tuple[str, str]:
        if error.errno == errno.EINVAL:
            return "this kernel has no seccomp filters, or doesn't know the profile's flags", ""
        if error.errno == errno.EACCES:
            return "without no_new_privs it takes CAP_SYS_ADMIN", "skip LoadSeccomp, too"
        return "", ""
