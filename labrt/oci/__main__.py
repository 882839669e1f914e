"""The command line: `labrt-oci [GLOBAL OPTIONS] VERB …`.

Engines read failures from the log (`--log`), people from standard error; both are told in one line.
The exit status is 1 for what could not be done, the program's own for `run` and `exec`.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path

from labrt.errors import LabError, errno_text

FAILED = 1


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb; return its exit status."""
    parser = _parser()
    options, rest = parser.parse_known_args(arguments)
    if options.version:
        return _version()
    if not options.verb:
        parser.print_help()
        return FAILED
    os.environ["LAB_HOME"] = options.root  # where all that is kept of a container lies
    try:
        return _run(options, rest)
    except LabError as error:
        return _tell(options, str(error))
    except OSError as error:
        about = f" ({error.filename})" if error.filename else ""
        return _tell(options, f"{errno_text(error)}{about}")


def names() -> list[str]:
    """Return the verbs there are."""
    return sorted(file.stem for file in (Path(__file__).parent / "verbs").glob("[a-z]*.py"))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("labrt-oci", description="An OCI runtime.")
    parser.add_argument("--root", metavar="DIR", default=_default_root(), help="where its state is")
    parser.add_argument("--log", metavar="FILE", help="where failures are written, too")
    parser.add_argument("--log-format", choices=("text", "json"), default="text")
    parser.add_argument("--debug", action="store_true", help="log what succeeds, too")
    parser.add_argument("--systemd-cgroup", action="store_true", help="have systemd make cgroups")
    parser.add_argument("--rootless", metavar="WHETHER", default="auto", help="ignored: it is seen")
    parser.add_argument("--version", "-v", action="store_true")
    parser.add_argument("verb", nargs="?", choices=names(), metavar="VERB", help=", ".join(names()))
    return parser


def _default_root() -> str:
    runtime = os.environ.get("XDG_RUNTIME_DIR") if os.geteuid() else ""
    return f"{runtime or '/run'}/labrt-oci"


def _run(options: argparse.Namespace, rest: Sequence[str]) -> int:
    verb = import_module(f"labrt.oci.verbs.{options.verb}")
    parser = argparse.ArgumentParser(f"labrt-oci {options.verb}", description=verb.HELP)
    verb.arguments(parser)
    status: int = verb.main(parser.parse_args(rest))
    sys.stdout.flush()
    return status


def _version() -> int:
    from labrt.oci.lifecycle import VERSION

    print(f"labrt-oci 1.0\nspec: {VERSION}")
    return 0


def _tell(options: argparse.Namespace, message: str) -> int:
    print(f"labrt-oci: {message}", file=sys.stderr)
    if options.log:
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        line = {"level": "error", "msg": message, "time": now}
        words = " ".join(f"{name}={json.dumps(value)}" for name, value in line.items())
        with open(options.log, "a") as log:
            log.write((json.dumps(line) if options.log_format == "json" else words) + "\n")
    return FAILED


if __name__ == "__main__":
    gc.disable()
    ended = main()
    gc.freeze()
    sys.exit(ended)
