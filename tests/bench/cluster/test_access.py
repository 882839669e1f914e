"""bench/cluster/access.py: who may talk to whom; TLS between all three."""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

import pytest

from bench.cluster import access, scheduler, worker
from bench.observations import ROWS, read
from labrt.errors import LabError
from tests.bench.cluster.conftest import Fleet, Made, Network
from tests.bench.conftest import needs_cgroups
from tests.bench.test_main import BENCH, bench, one_line

ONE = ("startup", "--subjects", "process", "--n", "1")


def asked(address: str, *options: str) -> access.Access:
    parser = argparse.ArgumentParser()
    access.arguments(parser)
    return access.asked(parser.parse_args(options), address)


@pytest.mark.parametrize(
    ("given", "options", "address"),
    [
        ("127.0.0.1", [], "tcp://127.0.0.1:8786"),
        ("127.0.0.1:0", [], "tcp://127.0.0.1:0"),
        ("lab.example:99", ["--tls-ca-file", "ca.pem"], "tls://lab.example:99"),
        ("tls://[::1]:99", [], "tls://[::1]:99"),
    ],
)
def test_an_address_is_completed(given: str, options: list[str], address: str) -> None:
    assert asked(given, *options).address == address


@pytest.mark.parametrize("given", ["", "ucx://10.0.0.1", "10.0.0.1:port", "tcp://:80"])
def test_what_is_no_address_is_said_to_be_none(given: str) -> None:
    with pytest.raises(LabError, match="write it as tls://"):
        asked(given)


def test_tls_may_stand_in_dasks_own_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    import dask.config

    with dask.config.set({"distributed.comm.tls.ca-file": "/etc/lab/ca.pem"}):
        assert asked("10.0.0.1").encrypted


def test_without_dask_it_is_said_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(LabError, match="./lab setup --cluster"):
        asked("127.0.0.1")


def test_without_tls_only_the_loopback_is_listened_on() -> None:
    asked("tcp://127.0.0.1").check_listener("listen on")
    asked("tls://10.0.0.1").check_listener("listen on")
    asked("tcp://10.0.0.1", "--insecure").check_listener("listen on")
    with pytest.raises(LabError, match="whoever reaches it has it run any program"):
        asked("tcp://10.0.0.1").check_listener("listen on")


@pytest.mark.parametrize("main", [scheduler.main, worker.main])
@pytest.mark.parametrize(
    ("tls", "said"),
    [
        ([], "no ca_file is named"),
        (["--tls-ca-file", "/no/ca.pem", "--tls-cert", "/no", "--tls-key", "/no"], "ENOENT"),
        (["--tls-ca-file", __file__, "--tls-cert", __file__, "--tls-key", __file__], "not PEM"),
    ],
)
def test_certificates_that_cannot_be_used_are_one_line(
    main: object, tls: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    address = ["--listen", "tls://127.0.0.1:0"] if main is scheduler.main else ["tls://127.0.0.1"]
    assert main([*address, *tls]) == 1  # type: ignore[operator]
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line


def test_a_worker_without_a_scheduler_says_how_to_start_one(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "PATIENCE", 1.0)
    monkeypatch.setenv("LAB_ACCEL", "tcg")
    assert worker.main(["tcp://127.0.0.1:9"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "start its scheduler with ./lab scheduler" in line


@pytest.mark.slow
def test_a_name_that_another_worker_has_is_refused(fleet: Fleet) -> None:
    address = fleet.scheduler("--listen", "127.0.0.1:0").address
    fleet.worker(address, "a")
    fleet.is_up()
    code, said = fleet.worker(address, "a").ended()
    assert code == 1
    assert "name taken" in said
    assert said.count("\n") == 1


def test_a_plain_fleet_on_a_network_is_refused_by_name(fleet: Fleet, network: Network) -> None:
    code, said = fleet.scheduler("--listen", "10.213.0.1:0", inside=network.inside).ended()
    assert code == 1
    assert "whoever reaches it has it run any program" in said
    assert "--tls-ca-file" in said
    code, said = fleet.worker("tcp://10.213.0.1:9", "a", inside=network.host()).ended()
    assert code == 1
    assert "let a worker listen on tcp://10.213.0.2:0" in said


@needs_cgroups
def test_with_tls_only_those_with_a_certificate_take_part(
    fleet: Fleet, network: Network, certificates: Made, tmp_path: Path
) -> None:
    ours, theirs = certificates("ours"), certificates("theirs")
    up = fleet.scheduler("--listen", "tls://10.213.0.1:0", *ours, inside=network.inside)
    fleet.worker(up.address, "a", *ours, inside=network.host())
    fleet.is_up()
    here = [*network.inside, *BENCH, *ONE, "--cluster", up.address, "--out", str(tmp_path)]
    done = subprocess.run([*here, *ours], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    rows, _ = read(tmp_path / "latest" / ROWS)
    assert {(row.status, row.conditions["worker"]) for row in rows} == {("ok", "a")}
    for wrong in (theirs, ()):
        done = subprocess.run([*here, *wrong], capture_output=True, text=True, timeout=60)
        assert done.returncode == 1
        assert ("doesn't trust this certificate" if wrong else "no ca_file") in one_line(done)


@pytest.mark.slow
def test_a_bench_over_a_plain_network_is_told_what_it_trusts() -> None:
    done = bench(*ONE, "--cluster", "tcp://192.0.2.1:9")
    assert done.returncode == 1
    first, last = done.stderr.splitlines()
    assert "whoever reaches it has it run any program" in first
    assert "start it with ./lab scheduler" in last
