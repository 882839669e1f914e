"""bench/cluster/: a run over several hosts, each of which may go away."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest

from bench import statistics, views
from bench.observations import ROWS, Observation, read
from labrt import cgroups
from tests.bench.cluster.conftest import Fleet, Network
from tests.bench.conftest import needs_cgroups
from tests.bench.test_main import BENCH, bench, one_line

pytestmark = needs_cgroups

SMALL = ("startup", "density", "--subjects", "process", "--n", "6", "--count", "3")
N = 80
LONG = ("startup", "--subjects", "process", "--n", str(N))
ONE_CPU = ("taskset", "--cpu-list", "0")  # another fingerprint: a host that isn't like the others


def starts(rows: Sequence[Observation]) -> list[Observation]:
    return [row for row in rows if (row.experiment, row.phase) == ("startup", "T0-T3")]


def counted(rows: Sequence[Observation], *keys: str) -> Counter[tuple[object, ...]]:
    """Count samples that are no warm-ups, by conditions and sample."""
    good = [row for row in starts(rows) if row.status == "ok" and not row.warmup]
    return Counter((*(row.conditions[key] for key in keys), row.sample) for row in good)


def started(command: Sequence[str]) -> subprocess.Popen[str]:
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True)


def wait_for_rows(running: subprocess.Popen[str], file: Path, count: int, by: str) -> None:
    """Wait until a worker has given so many rows."""
    deadline = time.monotonic() + 40
    while not (file.exists() and file.read_bytes().count(f'"worker":"{by}"'.encode()) >= count):
        assert time.monotonic() < deadline
        assert running.poll() is None, running.communicate()[1]
        time.sleep(0.02)


def test_hosts_that_are_alike_share_a_plan_and_fill_up_in_one_curve(
    fleet: Fleet, tmp_path: Path
) -> None:
    address = fleet.scheduler("--listen", "127.0.0.1:0").address
    for name in "ab":
        fleet.worker(address, name)
    fleet.is_up()
    done = bench(*SMALL, "--cluster", address, "--out", tmp_path)
    assert done.returncode == 0, done.stderr
    folder = (tmp_path / "latest").resolve()
    rows, damage = read(folder / ROWS)
    assert damage == []

    assert counted(rows) == {(sample,): 1 for sample in range(6)}
    warm = Counter(row.conditions["worker"] for row in starts(rows) if row.warmup)
    assert warm == {"a": 1, "b": 1}
    (host,) = {row.conditions["host"] for row in rows}
    assert {row.conditions["through"] for row in rows} == {"worker"}
    found = json.loads((folder / "host.json").read_text())
    assert [(each["worker"], each["id"]) for each in found["hosts"]] == [("a", host), ("b", host)]

    whole, of_a, of_b = views.of_experiment("density", rows)
    assert "fleet of 2 hosts" in whole.title
    assert ("on a" in of_a.title, "on b" in of_b.title) == (True, True)
    assert [table.rows[0][1] for table in (whole, of_a, of_b)] == ["6", "3", "3"]
    page = (folder / "report.html").read_text()
    assert all(
        said in page for said in ("fleet of 2 hosts", "host a", "host b", f"2 of host {host}")
    )
    done = bench("--resume", folder)
    assert done.returncode == 1
    assert "over a fleet" in one_line(done)


@pytest.mark.parametrize("alike", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_a_host_that_dies_half_way_on_a_network(
    fleet: Fleet, network: Network, tmp_path: Path, alike: bool
) -> None:
    """Two workers in two network namespaces, one of them killed; or asked to end."""
    address = fleet.scheduler(
        "--listen", "10.213.0.1:0", "--insecure", inside=network.inside
    ).address
    other = network.host()
    victim = fleet.worker(address, "a", "--insecure", inside=network.host())
    fleet.worker(address, "b", "--insecure", inside=other if alike else (*ONE_CPU, *other))
    fleet.is_up()
    command = [*network.inside, *BENCH, *LONG, "--cluster", address, "--insecure"]
    running = started([*command, "--out", str(tmp_path)])
    file = tmp_path / "latest" / ROWS
    wait_for_rows(running, file, 40, by="a")
    if alike:
        victim.kill()
    else:  # whoever is asked to end takes down what is under way, and goes
        victim.process.send_signal(signal.SIGTERM)
        assert victim.ended() == (0, "")
    _, said = running.communicate(timeout=60)
    assert running.returncode == 0, said
    assert "the host a went away" in said

    rows, damage = read(file)
    assert damage == []
    lost = [row for row in rows if row.status == "failed"]
    assert {row.conditions["worker"] for row in lost} == {"a"}
    assert all(row.reason.startswith("lost: the host a went away") for row in lost)
    if alike:
        assert len(lost) == 1
        assert counted(rows) == {(sample,): 1 for sample in range(N)}
        return
    assert not [each for each in cgroups.all_cgroups() if "/lab-process-" in each.name]
    assert len(lost) == 2
    of_a, of_b = (counted([r for r in rows if r.conditions["worker"] == name]) for name in "ab")
    assert of_b == {(sample,): 1 for sample in range(N)}
    assert 5 < len(of_a) < N
    assert set(of_a.values()) == {1}
    assert f"{N - 1 - len(of_a)} more trials" in lost[1].reason
    with pytest.raises(statistics.Unfair) as refused:
        statistics.summarise(starts(rows))
    assert refused.value.condition == "host"
    assert len(views.of_experiment("startup", rows)) == 2


@pytest.mark.slow
def test_an_image_of_another_digest_is_refused_by_name_and_the_rest_goes_on(
    fleet: Fleet, tmp_path: Path
) -> None:
    home = {**os.environ, "LAB_HOME": str(tmp_path / "home")}
    (tmp_path / "Containerfile").write_text("FROM busybox\nLABEL made=elsewhere\n")
    labrt = [sys.executable, "-m", "labrt.cli"]
    subprocess.run([*labrt, "image", "base", "busybox"], env=home, check=True, capture_output=True)
    build = [*labrt, "build", "--tag", "busybox", str(tmp_path)]
    subprocess.run(build, env=home, check=True, capture_output=True)
    address = fleet.scheduler("--listen", "127.0.0.1:0").address
    fleet.worker(address, "a")
    fleet.worker(address, "b", LAB_HOME=home["LAB_HOME"])
    fleet.is_up()
    done = bench("startup", "--subjects", "process", "--n", "2",
                 "--cluster", address, "--out", tmp_path / "results")  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "host b can't take part" in done.stderr
    assert "its digest here is" in done.stderr
    rows, _ = read(tmp_path / "results" / "latest" / ROWS)
    assert {row.conditions["worker"] for row in rows if row.status == "ok"} == {"a"}
    assert [row.experiment for row in rows if row.status == "failed"] == ["prepare"]


@pytest.mark.slow
def test_one_bench_at_a_time_until_it_ends_also_by_ctrl_c(fleet: Fleet, tmp_path: Path) -> None:
    address = fleet.scheduler("--listen", "127.0.0.1:0").address
    fleet.worker(address, "a")
    fleet.is_up()
    here = ("--cluster", address, "--out", str(tmp_path))
    first = started([*BENCH, "density", "--subjects", "process", "--count", "5000", *here])
    assert first.stderr is not None
    while "density" not in first.stderr.readline():
        assert first.poll() is None
    assert "another bench uses it" in one_line(bench(*LONG, *here))
    first.send_signal(signal.SIGINT)
    _, said = first.communicate(timeout=60)
    assert first.returncode == 130, said
    assert not [each for each in cgroups.all_cgroups() if "/lab-process-" in each.name]
    done = bench("startup", "--subjects", "process", "--n", "1", *here)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_without_its_scheduler_a_run_ends_and_its_rows_are_kept(
    fleet: Fleet, tmp_path: Path
) -> None:
    scheduler = fleet.scheduler("--listen", "127.0.0.1:0")
    worker = fleet.worker(scheduler.address, "a")
    fleet.is_up()
    here = ("--cluster", scheduler.address, "--out", str(tmp_path))
    file = tmp_path / "latest" / ROWS
    running = started([*BENCH, *LONG, *here])
    wait_for_rows(running, file, 20, by="a")
    scheduler.process.send_signal(signal.SIGTERM)
    _, said = running.communicate(timeout=60)
    assert running.returncode == 1
    assert "the scheduler went away" in said
    assert "Traceback" not in said, said
    assert worker.ended() == (1, "lab worker: the scheduler went away\n")
    assert read(file)[0]
    assert "start it with ./lab scheduler" in one_line(bench(*LONG, *here))


@pytest.mark.slow
def test_what_a_host_has_no_room_for_is_not_placed_there_and_that_is_said(
    fleet: Fleet, tmp_path: Path
) -> None:
    address = fleet.scheduler("--listen", "127.0.0.1:0").address
    fleet.worker(address, "small", inside=ONE_CPU)
    fleet.is_up()
    asked = ("startup", "--subjects", "process", "--n", "2", "--cpus", "1,2")
    done = bench(*asked, "--cluster", address, "--out", tmp_path)
    assert done.returncode == 0, done.stderr
    assert "host small hasn't what it takes for 2 CPUs: not placed there" in done.stderr
    rows, _ = read(tmp_path / "latest" / ROWS)
    assert {(row.status, row.conditions["cpus"]) for row in rows} == {("ok", 1.0)}
    assert counted(rows) == {(0,): 1, (1,): 1}
