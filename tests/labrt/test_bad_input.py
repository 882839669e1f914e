"""Bad input: every option × wrong values gives one line, status 125, and nothing left behind.

One row is one wish: the options, a piece of what must be said, and whether a remedy is due. An
option of `labrt.options.Options` that takes a value and has no row here fails the last test.
"""

from __future__ import annotations

import os
import shlex
from dataclasses import fields
from typing import NamedTuple

import pytest

from labrt import output, run
from labrt.errors import LabError
from labrt.options import Options
from tests.labrt.conftest import needs_cgroups
from tests.labrt.test_cli import labrt

pytestmark = pytest.mark.usefixtures("nothing_left")


class Wrong(NamedTuple):
    """A wish that is none."""

    arguments: str
    said: str
    remedy: bool = False


PROCESS = (
    Wrong("--ulimit nosuch=1", "nosuch"),
    Wrong("--ulimit nofile", "nofile"),
    Wrong("--ulimit nofile=a", "nofile"),
    Wrong("--ulimit nofile=9:8", "9:8"),
    Wrong("--oom-score-adj 1001", "not a whole number from -1000 to 1000"),
    Wrong("--oom-score-adj much", "not a whole number"),
    Wrong("--env =x", "it has no name", True),
    Wrong("--env-file /nosuch", "ENOENT"),
    Wrong("--env-file /bin/busybox", "no text"),
    Wrong("--workdir /etc/passwd", "ENOTDIR"),
    Wrong("--user nosuch", "no such entry", True),
    Wrong("--group-add nosuch", "no such entry", True),
    Wrong("--hostname=-bad", "not a host name", True),
    Wrong("--hostname a_b", "not a host name", True),
)
LIMITS = (
    Wrong("--memory much", "not a size", True),
    Wrong("--memory 0", "not a size", True),
    Wrong("--memory -1", "not a size"),
    Wrong("--memory-swap 64m", "memory alone has no limit", True),
    Wrong("--memory 64m --memory-swap 32m", "less than the memory limit", True),
    Wrong("--memory-reservation much", "not a size"),
    Wrong("--cpus two", "not a number", True),
    Wrong("--cpus nan", "not a number", True),
    Wrong("--cpus -1", "not a number"),
    Wrong("--cpus 0.001", "not a number of 0.01"),
    Wrong("--cpu-shares 1", "not a whole number from 2"),
    Wrong("--cpuset-cpus 9999", "this host has"),
    Wrong("--cpuset-cpus a", "not a list", True),
    Wrong("--cpuset-mems 9999", "this host has"),
    Wrong("--pids-limit 0", "not a whole number"),
    Wrong("--pids-limit 1.5", "not a whole number"),
    Wrong("--blkio-weight 9", "not a whole number from 10"),
    Wrong("--device-read-bps /dev/null:1m", "not a block device", True),
    Wrong("--device-write-bps /no/such:1m", "ENOENT"),
    Wrong("--device-read-iops nothing", "nothing"),
    Wrong("--device-write-iops /dev/null:x", "x"),
    Wrong("--cgroup-conf nothing", "not FILE=VALUE", True),
    Wrong("--cgroup-conf no.such=1", "no.such"),
    Wrong("--cgroup-conf ../../x=1", "x"),
)
SECURITY = (
    Wrong("--cap-add NOSUCH", "no capability has that name", True),
    Wrong("--cap-drop NOSUCH", "no capability has that name", True),
    Wrong("--security-opt nosuch", "none of this kind", True),
    Wrong("--security-opt seccomp=/no/such", "No such file"),
)
RECIPE = (
    Wrong("--nosuch", "unrecognized arguments: --nosuch", True),
    Wrong("--hostname -h", "expected one argument", True),
    Wrong("--skip nosuch", "no such step", True),
    Wrong("--skip PivotRoot", "without it"),
)
NAMESPACES = (
    Wrong("--pid nosuch", "not private, host, container:NAME"),
    Wrong("--pid container:nosuch", "none of this name", True),
    Wrong("--ipc pid:99999999", "ENOENT", True),
    Wrong("--uts ns:/etc/passwd", "no namespace", True),
    Wrong("--userns sometimes", "not private"),
    Wrong("--cgroupns container:", "not private"),
    Wrong("--time-offset monotonic", "not monotonic=SECONDS"),
    Wrong("--time-offset uptime=3", "not monotonic=SECONDS"),
    Wrong("--sysctl kernel.panic=1", "the whole machine's"),
    Wrong("--sysctl nothing", "not NAME=VALUE", True),
)
FILES = (
    Wrong("--volume /no/such:/x", "ENOENT", True),
    Wrong("--volume a", "isn't absolute", True),
    Wrong("--volume rel/path:/x", "neither a volume's name nor a path", True),
    Wrong("--mount type=nfs,target=/x", "unknown type", True),
    Wrong("--mount type=bind", "it has no target", True),
    Wrong("--tmpfs relative", "isn't absolute", True),
    Wrong("--tmpfs /x:size=much", "size can't be 'much'", True),
    Wrong("--shm-size much", "not a size", True),
)
NETWORK = (
    Wrong("--network nosuch", "" if os.geteuid() == 0 else "takes root", True),
    Wrong("--publish 80:80", "no effect there", True),
    Wrong("--network pasta --publish 99999:80", "ports go from 1 to 65535"),
    Wrong("--network pasta --publish 80", "not a port", True),
    Wrong("--ip 10.0.0.1", "no effect there", True),
    Wrong("--network-alias web", "no effect there", True),
    Wrong("--dns x", "not an address", True),
    Wrong("--dns-search a/b", "not a host name", True),
    Wrong("--add-host x", "not an address", True),
)
LIFE = (
    Wrong("--name a/b", "not a name", True),
    Wrong("--restart never", "none of this kind", True),
    Wrong("--restart always", "nothing of it stays", True),
    Wrong("--stop-signal NOPE", "there is none", True),
    Wrong("--stop-timeout x", "not a time", True),
    Wrong("--health-interval 0", "not a time", True),
    Wrong("--health-timeout x", "not a time", True),
    Wrong("--health-start-period x", "not a time", True),
    Wrong("--health-retries 0", "not a number"),
    Wrong("--no-healthcheck --health-cmd true", "excludes"),
)
# Any text will do, or it is known only when the program starts (127).
ANYTHING = {"label", "entrypoint"}
TABLE = (*PROCESS, *NAMESPACES, *FILES, *NETWORK, *LIFE, *SECURITY, *RECIPE)


EVERY = (*TABLE, *(pytest.param(wrong, marks=needs_cgroups) for wrong in LIMITS))


@pytest.mark.parametrize("wrong", EVERY, ids=lambda wrong: wrong.arguments)
def test_a_wrong_option_is_one_line(wrong: Wrong) -> None:
    done = labrt("run", *wrong.arguments.split(), "busybox", "true")
    assert done.returncode == 125, done
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1, done.stderr
    assert done.stderr.startswith("labrt: ")
    assert wrong.said in done.stderr
    assert "Traceback" not in done.stderr
    assert not wrong.remedy or "Remedy: " in done.stderr


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        ("nosuch true", 125),
        ("--nosuch busybox true", 125),
        ("--memory", 125),
        ("busybox /etc", 126),
        ("busybox nosuch", 127),
        ("--init busybox sh -c 'kill -9 $$'", 137),
    ],
)
def test_statuses_are_as_dockers(arguments: str, status: int) -> None:
    assert labrt("run", *shlex.split(arguments)).returncode == status


def test_every_option_that_takes_a_value_is_tried() -> None:
    tried = {word for wrong in (*TABLE, *LIMITS) for word in wrong.arguments.split()}
    valued = {each.name for each in fields(Options) if each.default is not False}
    untried = {name for name in valued if f"--{name.replace('_', '-')}" not in tried}
    assert untried == ANYTHING


def test_what_is_too_long_for_the_launcher_is_told() -> None:
    with pytest.raises(LabError, match="KiB long") as caught:
        run("busybox", ["echo", *["x" * 100_000] * 3])
    assert "\n" not in str(caught.value)
    assert output("busybox", ["echo", "on"]) == "on\n"
