"""`process` of a bundle, or of a file for `exec --process` (config.md#process)."""

from __future__ import annotations

import re

from labrt import capabilities, labels, limits, rlimits, scheduler
from labrt.bundle.reading import ID, U64, Value
from labrt.errors import warn
from labrt.spec import Capabilities, Process, Rlimit, Scheduler

_SETS = ("bounding", "effective", "permitted", "inheritable", "ambient")
_HIGHEST_CPU = 8191  # CONFIG_NR_CPUS goes no further
_LIST = re.compile(r"\d+(-\d+)?(,\d+(-\d+)?)*", re.ASCII)


def process(told: Value, own_users: bool = False) -> Process:
    """Declare a process.

    Args:
        own_users: it is in a user namespace of the container's.

    Raises:
        LabError: a value that is none, or one that the lab or this host can't fulfil.
    """
    user = told["user"]
    apparmor, selinux = told["apparmorProfile"].text(""), told["selinuxLabel"].text("")
    labels.check(apparmor, selinux)
    ids = ":".join(str(user[name].number(0, high=ID)) for name in ("uid", "gid"))
    affinity = told["execCPUAffinity"]
    return Process(
        args=_arguments(told["args"]),
        env=environment(told["env"]),
        cwd=absolute(told["cwd"]),
        user=ids,
        additional_groups=tuple(str(each.number(high=ID)) for each in user["additionalGids"]),
        only_these_groups=True,
        umask=user["umask"].number(0o022, high=0o777),
        terminal=told["terminal"].flag(),
        terminal_size=_size(told["consoleSize"]) if told["terminal"].flag() else (0, 0),
        no_new_privileges=told["noNewPrivileges"].flag(),
        capabilities=_capabilities(told["capabilities"], own_users),
        rlimits=_rlimits(told["rlimits"]),
        oom_score_adj=told["oomScoreAdj"].number(0, -1000, 1000) if told["oomScoreAdj"] else None,
        scheduler=_scheduler(told["scheduler"]),
        io_priority=_io_priority(told["ioPriority"]),
        first_cpus=_cpus(affinity["initial"]),
        cpus=_cpus(affinity["final"]),
        apparmor=apparmor,
        selinux=selinux,
    )


def absolute(told: Value) -> str:
    """Return an absolute path.

    Raises:
        LabError: it is none.
    """
    path = told.text()
    if not path.startswith("/"):
        raise told.wrong(f"{path!r} is not an absolute path")
    return path


def environment(told: Value) -> tuple[str, ...]:
    """Return variables as environ(7) has them, "NAME=value".

    Raises:
        LabError: one is none.
    """
    for each in told:
        name, equals, _ = each.text().partition("=")
        if not (name and equals):
            raise each.wrong(f"{each.data!r} is not NAME=value")
    return told.texts()


def _arguments(told: Value) -> tuple[str, ...]:
    args = told.texts()
    if not args or not args[0]:
        raise told.wrong("there is nothing to run")
    return args


def _size(told: Value) -> tuple[int, int]:
    highest = (1 << 16) - 1  # struct winsize, ioctl_tty(2)
    return told["height"].number(0, high=highest), told["width"].number(0, high=highest)


def _capabilities(told: Value, own_users: bool) -> Capabilities:
    """What no kernel knows or this host can't give is left out, with a warning, as the
    specification demands. So are ambient ones that aren't inheritable and permitted, too: there is
    no such thing."""
    possible = capabilities.to_give(not own_users)
    sets = {name: told[name].texts() for name in _SETS}
    lacking = sorted({cap for caps in sets.values() for cap in caps if cap not in possible})
    if lacking:
        warn(f"give {told.place}: this host has no {', '.join(lacking)} to give")
    kept = {name: tuple(cap for cap in caps if cap in possible) for name, caps in sets.items()}
    if beyond := {*kept["effective"]} - {*kept["permitted"]}:
        raise told["effective"].wrong(f"permitted hasn't got {', '.join(sorted(beyond))}")
    raised = {*kept["inheritable"]} & {*kept["permitted"]}
    kept["ambient"] = tuple(cap for cap in kept["ambient"] if cap in raised)
    return Capabilities(**kept)


def _rlimits(told: Value) -> tuple[Rlimit, ...]:
    found = []
    for each in told:
        kind = each["type"].choice(rlimits.NUMBERS)
        soft, hard = (_rlimit(each[name]) for name in ("soft", "hard"))
        if rlimits.above(soft, hard):
            raise each["soft"].wrong("it is above the hard limit")
        rlimits.check(f"set {each.place}, {kind}", Rlimit(kind, soft, hard))
        found.append(Rlimit(kind, soft, hard))
    if len({limit.type for limit in found}) < len(found):
        raise told.wrong("one is there twice")
    return tuple(found)


def _rlimit(told: Value) -> int:
    number = told.number(high=U64)
    return -1 if number == U64 else number  # RLIM_INFINITY


def _scheduler(told: Value) -> Scheduler | None:
    if not told:
        return None
    return Scheduler(
        policy=told["policy"].choice(scheduler.POLICIES),
        nice=told["nice"].number(0, -20, 19),
        priority=told["priority"].number(0, high=99),
        flags=tuple(each.choice(scheduler.FLAGS) for each in told["flags"]),
        runtime=told["runtime"].number(0, high=U64),
        deadline=told["deadline"].number(0, high=U64),
        period=told["period"].number(0, high=U64),
    )


def _io_priority(told: Value) -> int | None:
    if not told:
        return None
    kind = scheduler.IO_CLASSES[told["class"].choice(scheduler.IO_CLASSES)]
    return kind << scheduler.IO_CLASS_SHIFT | told["priority"].number(0, high=7)


def _cpus(told: Value) -> str:
    text = told.text("").replace(" ", "")
    if text:
        check_list(told, _HIGHEST_CPU)
    return text


def check_list(told: Value, highest: int) -> None:
    """Refuse what is no list of cpuset(7), "0-3,7", or has a number above `highest`.

    Raises:
        LabError: it is none.
    """
    text = told.text().replace(" ", "")
    if not _LIST.fullmatch(text):
        raise told.wrong(f"{text!r} is no list such as 0-3,7")
    if any(len(number) > 8 or int(number) > highest for number in re.findall(r"\d+", text)):
        raise told.wrong(f"a number above {highest}")
    if not limits.members(text):
        raise told.wrong(f"{text!r} names nothing")
