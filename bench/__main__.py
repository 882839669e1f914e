"""The bench's command line: `python -m bench` (`./lab bench`).

Without arguments: a quick comparison of a plain process, a container and a VM. A first word that is
a verb (`bench/verbs/`) does that instead. Exit status 0: the run went through (failed samples are
results, too); 1: it could not be done; 2: the command line is wrong; 3: a verb's verdict is "no"
(worse than allowed, called different too often); 128 + n: ended by signal n (130: Ctrl-C).
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from bench import verbs
from bench.cluster import access
from labrt.errors import LabError, errno_text

if TYPE_CHECKING:
    from bench.experiments.base import Settings
    from bench.interrupts import Interrupted
    from bench.run import Request
    from bench.variants import Variant


SIZES_AND_LIST = {"quick", "full", "list"}  # options that may be given as words


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit status. Errors are one line on standard error."""
    from bench.interrupts import Interrupted, raised

    words = list(sys.argv[1:] if arguments is None else arguments)
    os.umask(0o022)  # one for all users, for subjects inherit it; QEMU's user reads what we write
    try:
        with raised():
            return verb(words) if words and words[0] in verbs.names() else run_or_list(words)
    except Interrupted as interrupted:
        return complain(f"interrupted ({interrupted})", interrupted.status)
    except LabError as error:
        return complain(str(error))
    except BrokenPipeError:
        return complain("standard output was closed")
    except OSError as error:
        return complain(f"{error.filename or 'bench'}: {errno_text(error)}")
    except Exception as error:
        if "LAB_DEBUG" in os.environ:
            raise
        said = f"{type(error).__name__}: {error}"
        return complain(f"a fault of the lab itself: {said}. Remedy: LAB_DEBUG=1 shows where")


def verb(words: Sequence[str]) -> int:
    """Do what a verb's file says."""
    name, *rest = words
    found = verbs.find(name)
    made = Parser(prog=f"lab bench {name}", description=found.HELP)
    found.arguments(made)
    status: int = found.main(made.parse_args(rest))
    return status


def run_or_list(words: Sequence[str]) -> int:
    """Do a run, or what of it the options ask for."""
    made = parser()
    options = made.parse_args(words)
    _take_words(made, options)
    if options.list:
        return show_list(options.connect)
    if options.report:
        return remake(options.report)
    if options.resume:
        return resume(options)
    for name in ("tls_ca_file", "tls_cert", "tls_key", "insecure"):
        if getattr(options, name) and not options.cluster:
            made.error(f"--{name.replace('_', '-')}: only with --cluster")
    if options.dry_run and options.cluster:
        made.error("--dry-run: not allowed with --cluster")
    if options.dry_run:
        return dry_run(options)
    return measure(options)


def _take_words(made: argparse.ArgumentParser, options: argparse.Namespace) -> None:
    """Read "full" as --full, "list" as --list, and any other word as an experiment's name."""
    words = [word for words in options.what for word in words]
    for word in SIZES_AND_LIST.intersection(words):
        setattr(options, word, True)
    named = [word for word in words if word not in SIZES_AND_LIST]
    if options.quick and options.full:
        made.error("full: not allowed with quick")
    if named and options.experiments:
        made.error(f"{named[0]}: not allowed with --experiments")
    options.experiments = named or options.experiments
    options.what = []


def complain(text: str, status: int = 1) -> int:
    """Say in one line what went wrong; return the exit status."""
    print(f"lab bench: {text}", file=sys.stderr)
    return status


class Parser(argparse.ArgumentParser):
    """argparse, but an error is one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}. Remedy: {self.prog} --help\n")


def parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    made = Parser(
        prog="lab bench",
        description="Compare a plain process, a container and a virtual machine on this host.",
        epilog="Verbs, each with its own --help: " + ", ".join(verbs.names()),
    )
    made.add_argument(
        "what",
        nargs="*",
        type=names,
        metavar="WHAT",
        help="quick, full, list, or experiments by name",
    )
    made.add_argument("--list", action="store_true", help="show subjects and experiments, and stop")
    made.add_argument("--subjects", metavar="A,B", type=names, help="default: process,labrt,vm")
    made.add_argument(
        "--experiments", metavar="X,Y", type=names, help="default: startup,stop,memory,density"
    )
    size = made.add_mutually_exclusive_group()
    size.add_argument("--quick", action="store_true", help="at most 90 s (the default)")
    size.add_argument("--full", action="store_true", help="more samples and longer ramps")
    made.add_argument("--n", type=verbs.positive, help="samples of each experiment that repeats")
    _add_varied(made)
    made.add_argument("--image", default="busybox", help="default: %(default)s")
    made.add_argument("--connect", metavar="URI", help="libvirt; default: qemu:///embed")
    made.add_argument(
        "--count", type=verbs.positive, help="density, scale-out: at most so many instances"
    )
    made.add_argument(
        "--budget",
        type=verbs.positive,
        metavar="MIB",
        help="density: stop when so much memory is used",
    )
    made.add_argument(
        "--deadline",
        type=verbs.positive,
        metavar="SECONDS",
        help="a start that takes longer has failed, as has a stop after half of that; default: 30",
    )
    made.add_argument("--seed", type=int, help="order of the samples; default: drawn and recorded")
    made.add_argument(
        "--out", type=Path, metavar="DIR", default=verbs.RESULTS, help="default: %(default)s"
    )
    made.add_argument(
        "--report", type=Path, metavar="RUN", help="make pictures and report of a folder anew"
    )
    made.add_argument(
        "--resume", type=Path, metavar="RUN", help="do what an interrupted run has left undone"
    )
    made.add_argument(
        "--dry-run", action="store_true", help="show the plan and its estimated time; start nothing"
    )
    made.add_argument(
        "--cluster", metavar="ADDRESS", help="measure on the workers that are met there"
    )
    access.arguments(made)
    return made


def _add_varied(made: argparse.ArgumentParser) -> None:
    """Conditions; of several values each is measured, in turns, and crossed with the others'."""
    varied = made.add_argument_group("conditions (several values, with commas, are crossed)")
    varied.add_argument(
        "--cold",
        nargs="?",
        const="cold",
        choices=("cold", "both"),
        help="drop the host's caches before each start; both: and don't",
    )
    for name, read, metavar, help in (
        ("parallel", verbs.positive, "N", "so many start, or stop, at once"),
        ("cpus", verbs.cpus, "N", "of each instance; default: 1"),
        ("memory", verbs.size, "SIZE", "of each instance; default: 256m"),
        ("io", verbs.size, "RATE", "bytes/s each reads from its disk, and writes: 10m"),
    ):
        varied.add_argument(f"--{name}", type=verbs.several(read), metavar=metavar, help=help)


def names(text: str) -> list[str]:
    """Read names with commas between them, each of them once."""
    found = list(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
    if not found:
        raise argparse.ArgumentTypeError("names no one")
    return found


def measure(options: argparse.Namespace) -> int:
    """Do a run and show what came out."""
    from bench import run

    return concluded(*run.compare(request(options)))


def request(options: argparse.Namespace) -> Request:
    """Return what the user asks for."""
    from bench import run

    cluster = access.asked(options, options.cluster) if options.cluster else None
    if cluster and cluster.exposed and not cluster.insecure:
        print(f"lab bench: {cluster.address}: {access.REASON}", file=sys.stderr)

    return run.Request(
        subjects=options.subjects,
        experiments=options.experiments,
        image=options.image,
        connection=options.connect,
        settings=settings(options),
        seed=options.seed,
        out=options.out,
        variants=varied(options),
        cluster=cluster,
    )


def varied(options: argparse.Namespace) -> list[Variant]:
    """Return every combination of the conditions that the user asks for."""
    from bench.variants import crossed

    return crossed(
        caches={"cold": ["cold"], "both": ["warm", "cold"]}.get(options.cold, []),
        **{name: getattr(options, name) or [] for name in ("parallel", "io", "cpus", "memory")},
    )


def resume(options: argparse.Namespace) -> int:
    """Do what an interrupted run has left undone. What it was asked for stands in its plan."""
    from bench import run

    asked = vars(options) | {"resume": None}
    defaults = vars(parser().parse_args([]))
    if others := [name for name, value in defaults.items() if asked[name] != value]:
        raise LabError(
            f"resume {options.resume}",
            f"--{others[0].replace('_', '-')} is given, too",
            "a run that is resumed stays what it was",
            "leave it away, or measure anew",
        )
    return concluded(*run.go_on(options.resume))


def dry_run(options: argparse.Namespace) -> int:
    """Show what would be done and how long it would take."""
    from rich.console import Console

    from bench import estimate, run, screen

    plan, fingerprint = run.prepare(request(options), qualify=False)
    known = estimate.history(options.out, fingerprint, plan.settings)
    screen.print_table(estimate.table(plan, known), Console())
    return 0


def concluded(folder: Path, ended: Interrupted | None) -> int:
    """Show what came out of a run; return the exit status."""
    from bench import run

    _show(folder)
    if ended is not None:
        return complain(
            f"interrupted ({ended}): everything was taken down; {folder} has the samples so far, "
            f"and --resume {folder} goes on",
            ended.status,
        )
    if not run.succeeded(folder):
        return complain(f"nothing could be measured; {folder / 'report.html'} says why")
    return 0


def settings(options: argparse.Namespace) -> Settings:
    """Return the quick or full settings with what the user asked for put in."""
    from bench.experiments.base import FULL, MIB, QUICK

    given = {
        "n": options.n,
        "count": options.count,
        "scale": options.count,
        "memory_budget": options.budget and options.budget * MIB,
        "start_deadline": options.deadline,
        "stop_deadline": options.deadline and options.deadline / 2,
    }
    asked = {key: value for key, value in given.items() if value is not None}
    if options.n is not None:
        asked["round_seconds"] = None  # so many were asked for, so many are done
    return replace(FULL if options.full else QUICK, **asked)


def remake(folder: Path) -> int:
    """Make pictures and report of an older run again."""
    _show(folder)
    return 0


def _show(folder: Path) -> None:
    """Print the tables, then make pictures and report: should these fail, the rest is told."""
    from bench import run

    run.show(folder)
    for file in run.conclude(folder):
        print(file)


def show_list(connection: str | None) -> int:
    """Print subjects and experiments, with what is unavailable here and why."""
    from rich.console import Console
    from rich.table import Table

    from bench import experiments, subjects

    console = Console(highlight=False)
    shown = Table(title="Subjects", title_justify="left")
    for name in ("subject", "what it is", "here"):
        shown.add_column(name, overflow="fold")  # a remedy may be one long word
    for name in subjects.names():
        shown.add_row(name, *_subject_here(name, connection))
    console.print(shown)
    shown = Table("experiment", "question", "here", title="Experiments", title_justify="left")
    for name in experiments.names():
        made = experiments.make(name)
        reason = made.unavailable()
        shown.add_row(name, made.question, f"unavailable: {reason}" if reason else "available")
    console.print(shown)
    return 0


def _subject_here(name: str, connection: str | None) -> tuple[str, str]:
    """Return what a subject is, and "available" or what can't be measured of it, and why."""
    from bench import subjects

    try:
        subject = subjects.make(name, connection=connection)
    except ImportError as error:
        return "", f"unavailable: {error}; run ./lab setup"
    if reason := subject.unavailable():
        return subject.title, f"unavailable: {reason}"
    lacks = {"network": subject.no_network(), "disk": subject.no_scratch()}
    told = [f"without {name}: {reason}" for name, reason in lacks.items() if reason]
    return subject.title, "; ".join(["available", *told])


if __name__ == "__main__":
    sys.exit(main())
