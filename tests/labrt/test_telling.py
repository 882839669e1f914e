"""labrt explain and --trace, as text and as JSON."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import labrt
from labrt import state
from labrt.declare import declare
from labrt.images import store
from labrt.recipe import recipe
from labrt.telling import explanation, explanation_json, trace_json, trace_table
from tests.labrt.bundle.bundles import declared
from tests.labrt.test_cli import labrt as command

pytestmark = pytest.mark.usefixtures("nothing_left")


def test_both_explanations_tell_of_every_step() -> None:
    spec = declare(store.resolve("busybox"), ["true"])
    names = [step.name for step in recipe(spec)]
    assert [told["step"] for told in json.loads(explanation_json(spec))] == names
    assert explanation(spec).count("why: ") == len(names)


def test_both_traces_tell_of_every_step_performed() -> None:
    with labrt.run("busybox", ["true"]) as c:
        names = [timed.name for timed in c.trace]
        told = json.loads(trace_json(c.trace))
    assert [step["step"] for step in told] == names
    assert told[0]["at_ns"] == 0
    assert all(step["took_ns"] >= 0 for step in told)
    assert [line.split()[-1] for line in trace_table(c.trace).splitlines()[1:-1]] == names


def test_the_command_line_has_both(tmp_path: Path) -> None:
    file = tmp_path / "trace"
    done = command("run", "--trace-json", str(file), "busybox", "echo", "hello")
    assert (done.stdout, done.stderr) == ("hello\n", "")
    performed = [step["step"] for step in json.loads(file.read_text())]
    explained = json.loads(command("explain", "--json", "busybox", "echo", "hello").stdout)
    assert sorted(step["step"] for step in explained) == sorted([*performed, "Exec"])


def test_the_childs_system_calls_are_told_when_asked() -> None:
    told = command("explain", "--calls", "busybox", "true").stdout
    for line in (
        'host_root = openat(AT_FDCWD, "/", 0x290000, 0)',
        'pivot_root(".", ".")',
        'mount("/proc/self/fd/{null}", "/proc/kcore", NULL, 0x1000, NULL), or ENOTDIR',
        "prctl(38, 1, 0, 0, 0)",
    ):
        assert f"                {line}\n" in told
    assert 'execve("/bin/true", ["true"], ["PATH=' in told
    assert 'pivot_root(".", ".")' not in command("explain", "busybox", "true").stdout


def test_calls_are_told_where_they_are_known_before_it_begins() -> None:
    words = ("--network", "bridge", "-t", "busybox", "true")
    told = json.loads(command("explain", "--json", "--calls", *words).stdout)
    calls = {step["step"]: step["calls"] for step in told}
    assert calls["SetUmask"] == ["umask(18)"]
    assert calls["OpenTerminal"] == [], "it thinks"
    assert calls["ConfigureInterface"] == [], "its address is given to it later"
    assert calls["Clone"] == [], "a step of the host's"


def test_a_skipped_step_is_not_explained() -> None:
    done = command("explain", "--skip", "SetUmask", "busybox", "true")
    assert done.returncode == 0
    assert "SetUmask" not in done.stdout


def test_a_bundle_is_explained_and_nothing_made(tmp_path: Path) -> None:
    spec = declared(tmp_path, {"hooks": {"poststop": [{"path": "/bin/true"}]}})
    explained = json.loads(command("explain", "--json", "--bundle", str(tmp_path)).stdout)
    assert [step["step"] for step in explained] == [step.name for step in recipe(spec)]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["config.json", "rootfs"]
    assert not (state.containers_dir() / "explained").exists()


def test_a_bundle_says_all_of_it_itself(tmp_path: Path) -> None:
    done = command("explain", "--bundle", str(tmp_path), "--memory", "9m")
    assert "a bundle says all of it itself" in done.stderr
    assert "neither an image nor --bundle" in command("explain").stderr
    assert "read /nowhere/config.json: ENOENT" in command("explain", "--bundle", "/nowhere").stderr
