"""bench/__main__.py and run.py, as users meet them: a whole run, bad input, faults, Ctrl-C."""

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

from bench import experiments, subjects, verbs
from bench.__main__ import parser, settings
from bench.observations import Log, Observation, read
from bench.subjects.base import Workload
from tests.bench.conftest import needs_cgroups

BENCH = (sys.executable, "-m", "bench")
QUICKLY = ("--subjects", "process", "--experiments", "startup,density", "--n", "2", "--count", "3")


def bench(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*BENCH, *map(str, arguments)], capture_output=True, text=True, timeout=60
    )


def one_line(done: subprocess.CompletedProcess[str]) -> str:
    """Return the one line that a command complained with."""
    (line,) = [line for line in done.stderr.splitlines() if " … " not in line]  # how far it is
    assert "Traceback" not in line
    return line


# A whole run


@needs_cgroups
def test_a_run_leaves_everything_in_one_folder(
    workload: Workload, nothing_left: None, tmp_path: Path
) -> None:
    done = bench(*QUICKLY, "--seed", "7", "--out", tmp_path)
    assert done.returncode == 0, done.stderr
    folder = (tmp_path / "latest").resolve()
    assert {path.name for path in folder.iterdir()} == {
        "plan.json",
        "host.json",
        "observations.jsonl",
        "startup.png",
        "startup-ecdf.png",
        "published.png",
        "density.png",
        "report.html",
    }
    fingerprint = json.loads((folder / "host.json").read_text())
    assert fingerprint["run"]["seed"] == 7
    rows, damage = read(folder / "observations.jsonl")
    assert damage == []
    assert {row.conditions["digest"] for row in rows} == {workload.digest}
    assert {row.conditions["host"] for row in rows} == {fingerprint["id"]}
    assert "plain process" in done.stdout
    assert "The bench itself: a mark's way" in done.stdout
    assert fingerprint["run"]["finished"]
    assert 0 < fingerprint["run"]["own_cost"]["arrival"] < 1
    assert 2**20 < fingerprint["run"]["own_cost"]["run_memory"] < 200e6
    assert str(folder / "report.html") in done.stdout.replace("\n", "")


@needs_cgroups
def test_the_report_can_be_made_again_from_rows_cut_short(
    workload: Workload, tmp_path: Path
) -> None:
    assert bench(*QUICKLY, "--out", tmp_path).returncode == 0
    folder = (tmp_path / "latest").resolve()
    rows = folder / "observations.jsonl"
    rows.write_bytes(rows.read_bytes()[:-100])
    (folder / "report.html").unlink()
    done = bench("--report", folder)
    assert done.returncode == 0, done.stderr
    assert "left out" in (folder / "report.html").read_text()
    assert "left out: cut short" in one_line(done)
    (folder / "host.json").write_text("{}")
    done = bench("--report", folder)
    assert done.returncode == 1
    assert "it has no 'run'" in done.stderr


@pytest.mark.parametrize("asked", ["--list", "list"])
def test_the_list_names_every_subject_and_experiment(workload: Workload, asked: str) -> None:
    done = bench(asked)
    assert done.returncode == 0, done.stderr
    for name in [*subjects.names(), *experiments.names()]:
        assert name in done.stdout


@pytest.mark.parametrize("width", ["80", pytest.param("120", marks=pytest.mark.slow)])
def test_no_table_is_cut_at_the_terminals_edge(
    workload: Workload, tmp_path: Path, width: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", width)
    done = bench(*QUICKLY, "--subjects", "process,labrt", "--out", tmp_path)
    assert done.returncode == 0, done.stderr
    assert "…" not in done.stdout
    tables = [line for line in done.stdout.splitlines() if not line.startswith("/")]
    assert max(map(len, tables)) <= int(width)


@needs_cgroups
def test_experiments_can_be_asked_for_by_name_alone(workload: Workload, tmp_path: Path) -> None:
    done = bench("startup", "full", "--subjects", "process", "--n", "2", "--out", tmp_path)
    assert done.returncode == 0, done.stderr
    rows, _ = read(tmp_path / "latest" / "observations.jsonl")
    assert {row.experiment for row in rows} == {"startup"}
    plan = json.loads((tmp_path / "latest" / "plan.json").read_text())
    assert not plan["settings"]["quick"]


@needs_cgroups
def test_conditions_are_crossed_and_each_is_a_line_of_its_own(
    workload: Workload, nothing_left: None, tmp_path: Path
) -> None:
    asked = ("startup", "--subjects", "process", "--parallel", "1,2", "--memory", "32m,64m")
    done = bench(*asked, "--n", "2", "--out", tmp_path)
    assert done.returncode == 0, done.stderr
    for said in ("(32 MiB)", "(64 MiB)", "one at a time", "2 at once"):
        assert said in done.stdout
    rows, _ = read(tmp_path / "latest" / "observations.jsonl")
    totals = [row.conditions for row in rows if row.phase == "T0-T3" and not row.warmup]
    counted = Counter((each["memory"] // 2**20, each["parallel"]) for each in totals)
    assert counted == {(32, 1): 2, (64, 1): 2, (32, 2): 4, (64, 2): 4}
    assert "32 MiB and 64 MiB" in (tmp_path / "latest" / "report.html").read_text()


def test_help_names_the_verbs() -> None:
    shown = bench("--help").stdout
    assert all(name in shown for name in verbs.names())
    for name in verbs.names():
        assert bench(name, "--help").returncode == 0


# Bad input


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (["--subjects", "nothing"], 1, "choose from"),
        (["--experiments", "nothing"], 1, "choose from"),
        (["--image", "nothing"], 1, "./lab setup"),
        (["--n", "abc"], 2, "'abc' is not a whole number above zero"),
        (["--n", "0"], 2, "above zero"),
        (["--n", "-3"], 2, "above zero"),
        (["--n", "1.5"], 2, "above zero"),
        (["--count", "many"], 2, "above zero"),
        (["--budget", "512m"], 2, "above zero"),
        (["--deadline", "0.5"], 2, "above zero"),
        (["--parallel", "4,x"], 2, "above zero"),
        (["--memory", "much"], 2, "'much' is not a size such as 64m"),
        (["--io", "0"], 2, "not a size"),
        (["--cpus", "-1"], 2, "not a number of CPUs"),
        (["--cpus", "5000"], 1, "this host has"),
        (["--cold", "lukewarm"], 2, "--cold"),
        (["density", "--parallel", "2"], 1, "ask for startup, stop or scale-out"),
        (["--seed", "x"], 2, "--seed"),
        (["--subjects", ","], 2, "--subjects"),
        (["--quick", "--full"], 2, "not allowed with"),
        (["quick", "full"], 2, "not allowed with"),
        (["startup", "--experiments", "stop"], 2, "not allowed with"),
        (["--dry-run", "--cluster", "127.0.0.1"], 2, "not allowed with --cluster"),
        (["--insecure"], 2, "only with --cluster"),
        (["nothing"], 1, "choose from"),
        ([","], 2, "names no one"),
        (["--nonsense"], 2, "--help"),
        (["compare", "/nonexistent", "/nonexistent"], 1, "ENOENT"),
        (["compare", "/nonexistent"], 2, "--help"),
        (["compare", "a", "b", "--fail-above", "x"], 2, "--fail-above"),
        (["aa", "--n", "0"], 2, "above zero"),
        (["aa", "--comparisons", "x"], 2, "above zero"),
        (["export"], 2, "--help"),
        (["--resume", "/nonexistent"], 1, "ENOENT"),
        (["--report", "/nonexistent"], 1, "ENOENT"),
    ],
)
def test_bad_input_is_one_line_that_names_the_remedy(
    workload: Workload, arguments: Sequence[str], status: int, said: str
) -> None:
    done = bench(*arguments)
    assert done.returncode == status
    assert said in one_line(done)


@needs_cgroups
def test_a_folder_that_cannot_be_made_is_one_line(workload: Workload) -> None:
    done = bench(*QUICKLY, "--out", "/proc/nothing")
    assert done.returncode == 1
    assert "name another with --out" in one_line(done)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_a_user_who_may_make_no_cgroups_is_told_why_and_what_to_do(
    workload: Workload, tmp_path: Path
) -> None:
    nobody = "import os, sys; os.setgroups([]); os.setgid(65534); os.setuid(65534); "
    code = nobody + "from bench.__main__ import main; sys.exit(main(sys.argv[1:]))"
    for folder in Path(os.environ["LAB_HOME"]).parents:
        folder.stat().st_mode & 0o005 or folder.chmod(0o755)
    os.environ["LAB_RUN"], before = str(tmp_path), os.environ["LAB_RUN"]
    try:
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, timeout=60
        )
    finally:
        os.environ["LAB_RUN"] = before
    assert done.returncode == 1
    assert "would not get the same limits as the VM" in one_line(done)
    assert "run with sudo" in one_line(done)


# Faults


@needs_cgroups
def test_a_full_disk_is_one_line_and_all_is_taken_down(
    workload: Workload, nothing_left: None, tmp_path: Path
) -> None:
    code = (
        "import resource, signal, sys; from bench.__main__ import main\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))\n"
        "sys.exit(main(sys.argv[1:]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *QUICKLY, "--count", "60", "--out", str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 1
    assert "observations.jsonl" in one_line(done)
    assert "--out" in one_line(done)
    rows, damage = read(tmp_path / "latest" / "observations.jsonl")
    assert len(rows) > 3
    assert len(damage) <= 1


def test_where_starts_are_slow_they_may_be_given_longer() -> None:
    asked = settings(parser().parse_args(["--deadline", "120"]))
    assert (asked.start_deadline, asked.stop_deadline) == (120, 60)


@needs_cgroups
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_in_a_ramp_takes_all_down_and_reports_what_there_is(
    workload: Workload, nothing_left: None, tmp_path: Path, number: signal.Signals
) -> None:
    ramp = ["--subjects", "process,labrt", "--experiments", "density", "--count", "5000"]
    running = subprocess.Popen(
        [*BENCH, *ramp, "--out", str(tmp_path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    rows = tmp_path / "latest" / "observations.jsonl"
    deadline = time.monotonic() + 30
    while not (rows.exists() and rows.read_text().count('"T0-T3"') >= 10):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    running.send_signal(number)
    stdout, stderr = running.communicate(timeout=60)
    assert running.returncode == 128 + number
    assert f"interrupted ({number.name})" in stderr
    assert "Traceback" not in stderr
    assert "report.html" in stdout
    assert "ended early" in (rows.parent / "report.html").read_text()
    assert len([row for row in read(rows)[0] if row.phase == "T0-T3"]) >= 10


def test_a_fault_of_the_lab_itself_is_one_line_too(tmp_path: Path) -> None:
    """Such as a row without what its experiment never leaves out."""
    with Log(tmp_path / "observations.jsonl") as log:
        log.append(Observation("run", "labrt", "limits", 0, "memory", "taken", "B", 1.0))
    done = bench("--report", tmp_path)
    assert done.returncode == 1
    assert "LAB_DEBUG=1" in one_line(done)
