"""The command line: `labrt-oci [GLOBAL OPTIONS] VERB …`. What a verb does is in `verbs/VERB.py`.

Engines read failures from the log (`--log`), people from standard error; both are told in one line.
The exit status is 1 for what could not be done (255 of `exec`, as runc has it), the program's own
for `run` and `exec`.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib import import_module
from types import ModuleType, SimpleNamespace

from labrt import paths
from labrt.errors import LabError
from labrt.oci import log
from labrt.oci.words import Option, parse, usage

FAILED = 1
VERSION = "1.0"  # ours
ABOUT = "Runs containers as the OCI runtime specification has it, for engines and by hand."
OPTIONS = (
    Option("root", "where the state of containers is kept", "DIR"),
    Option("log", "where failures are written, too", "FILE"),
    Option("log-format", "text or json", "FORMAT", default="text"),
    Option("debug", "log what is done, too"),
    Option("systemd-cgroup", "have systemd make the cgroup above the container's"),
    Option("rootless", "true, false or auto: ignored, for it is seen", "WHETHER"),
    Option("version", "tell the version", short="v"),
)


def main(words: Sequence[str] | None = None) -> int:
    """Run one verb; return its exit status."""
    given = SimpleNamespace(log=None, log_format="text", debug=False)
    try:
        words = sys.argv[1:] if words is None else words
        given = parse("labrt-oci", words, OPTIONS, "[WORDS…]")
        if given.version:
            return _version()
        if given.help or not given.words:
            return _help(0 if given.help else FAILED)
        return _run(given, *given.words)
    except LabError as error:
        told = error
    except OSError as error:
        told = log.of_kernel(error)
    except KeyboardInterrupt:
        told = LabError("go on", "interrupted")
    log.tell(given, "error", log.sentence(told))
    return 255 if given.words[:1] == ["exec"] else FAILED


def _run(given: SimpleNamespace, name: str, *rest: str) -> int:
    root = given.root or default_root()
    # Where all that is kept of a container lies, what dies with the machine included.
    os.environ |= {"LAB_HOME": root, "LAB_RUN": root}
    verb, command = _verb(name), f"labrt-oci {name}"
    asked = parse(command, rest, verb.OPTIONS, verb.OPERANDS)
    if asked.help:
        print(usage(command, verb.HELP, verb.OPTIONS, verb.OPERANDS))
        return 0
    asked.overall = given
    if given.debug:
        log.tell(given, "debug", " ".join([name, *rest]))
    status: int = verb.main(asked)
    sys.stdout.flush()
    return status


def needs_own_process(words: Sequence[str]) -> bool:
    """Whether the fork server can't do a verb: it passes on descriptors, or a monitor (conmon, a
    shim) awaits the end of what it starts as a descendant's, and it isn't `leaves_process`."""
    name, *rest = _named(words)
    passing = ("-d", "--detach", "--preserve-fds")
    return name == "exec" or any(word.startswith(passing) for word in rest)


def leaves_process(words: Sequence[str]) -> bool:
    """Whether the caller must be the one who clones, so that its monitor awaits what it leaves."""
    return _named(words)[0] == "create"


def _named(words: Sequence[str]) -> list[str]:
    """Return the verb and what follows it; no verb where that will be told."""
    try:
        return parse("labrt-oci", words, OPTIONS, "[WORDS…]").words or [""]
    except LabError:
        return [""]


def default_root() -> str:
    """Return where containers are kept if nobody says. Root of a user namespace is somebody else on
    the host, with a run folder of their own."""
    runtime = "" if paths.is_hosts_root() else os.environ.get("XDG_RUNTIME_DIR", "")
    return f"{runtime or '/run'}/labrt-oci"


def _verb(name: str) -> ModuleType:
    """Import one verb, and no other: imports cost time.

    Raises:
        LabError: there is none of this name.
    """
    if name in names():
        return import_module(f"labrt.oci.verbs.{name}")
    raise LabError(f"run {name!r}", "no verb is called so", remedy="labrt-oci --help lists them")


def names() -> list[str]:
    """Return the verbs there are."""
    files = os.listdir(f"{os.path.dirname(__file__)}/verbs")
    return sorted(name[:-3] for name in files if name.endswith(".py") and name[0] != "_")


def _help(status: int) -> int:
    verbs = "\n".join(f"  {name:10}{_verb(name).HELP}" for name in names())
    print(usage("labrt-oci", f"{ABOUT}\n\n{verbs}", OPTIONS, "VERB …"))
    return status


def _version() -> int:
    from labrt.spec import VERSION as SPECIFICATION

    print(f"labrt-oci version {VERSION}\nspec: {SPECIFICATION}")
    return 0


def start() -> None:
    """Be the program: run one verb and end, without the interpreter's own putting away: the kernel
    takes all back at once."""
    status = main()
    try:
        sys.stdout.flush()
    except OSError:
        pass  # it has been told, or nobody reads on
    sys.stderr.flush()
    os._exit(status)


if __name__ == "__main__":
    start()
