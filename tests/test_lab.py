"""The front door: `./lab` from anywhere, and a set-up that refuses, resumes and repeats itself.

Most of it runs in a copy of the lab whose path has a blank, with a LAB_HOME of its own.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PARTS = ("lab", "setup", "bench", "labrt", "notebooks", "constraints.txt")
PARTS += ("requirements.txt", "requirements-cluster.txt", "requirements-hub.txt", "vagrant")
VERBS = ("setup", "doctor", "bench", "run", "labrt", "notebooks", "test", "clean")
VERBS += ("scheduler", "worker", "box", "machine", "export")

set_up = pytest.mark.skipif(
    not (ROOT / ".venv" / "made-from").exists(),
    reason="only where ./lab setup made .venv; otherwise it would be made anew under the tests",
)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the lab without .venv."""
    folder = tmp_path / "a lab"
    folder.mkdir()
    for part in PARTS:
        if (ROOT / part).is_dir():
            shutil.copytree(ROOT / part, folder / part)
        else:
            shutil.copy2(ROOT / part, folder / part)
    return folder


def run(
    *command: str | Path, cwd: Path | None = None, timeout: float = 60, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run without a terminal, as CI does."""
    return subprocess.run(
        command,
        cwd=cwd,
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout,
    )


def test_help_names_every_verb() -> None:
    done = run(ROOT / "lab", "--help")
    assert done.returncode == 0
    for verb in VERBS:
        assert re.search(rf"^  {verb} ", done.stdout, re.MULTILINE)


def test_an_unknown_verb_is_named_with_the_usage() -> None:
    done = run(ROOT / "lab", "setpu")
    assert done.returncode == 2
    assert done.stderr.splitlines()[0] == 'lab: no verb is called "setpu"'
    assert "usage: ./lab VERB" in done.stderr
    assert not done.stdout


def test_it_works_from_anywhere_through_a_link_and_before_set_up(
    copy: Path, tmp_path: Path
) -> None:
    link = tmp_path / "link"
    link.symlink_to(copy / "lab")
    done = run(link, "doctor", "--json", cwd=Path("/"), LAB_HOME=str(tmp_path / "home"))
    assert done.returncode == 1, done.stderr
    (python,) = (c for c in json.loads(done.stdout)["checks"] if c["topic"] == "Python")
    assert python["remedy"] == "./lab setup"
    assert not (copy / ".venv").exists()


def test_without_a_python_the_doctor_says_how_to_get_one(copy: Path) -> None:
    done = run(copy / "lab", "doctor", LAB_PYTHON="/no/python")
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "Remedy" in done.stderr


def test_set_up_keeps_off_a_folder_of_others(copy: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / "thesis.odt").touch()
    done = run(copy / "lab", "setup", LAB_HOME=str(home))
    assert done.returncode == 1
    assert "thesis.odt" in done.stderr
    assert [path.name for path in home.iterdir()] == ["thesis.odt"]


@pytest.mark.parametrize(
    ("identity", "command"),
    [
        ("ID=fedora", "dnf install qemu-system-x86-core "),
        ('ID=rocky\nID_LIKE="rhel centos fedora"', "dnf install qemu-system-x86-core "),
        ("ID=arch", "pacman -S --needed qemu-system-x86 "),
        ('ID=opensuse-tumbleweed\nID_LIKE="opensuse suse"', "zypper install qemu-x86 "),
        ("ID=slackware", "dnf install"),
    ],
)
def test_another_distribution_gets_its_package_list(
    copy: Path, tmp_path: Path, identity: str, command: str
) -> None:
    """os-release(5) is laid over in a mount namespace, so the script reads what it always does."""
    (tmp_path / "os-release").write_text(identity + "\n")
    script = 'mount --bind "$0" /etc/os-release && exec "$1" setup'
    inside = ("unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script)
    done = run(*inside, tmp_path / "os-release", copy / "lab", LAB_HOME=str(tmp_path / "home"))
    assert done.returncode == 1
    assert command in done.stderr
    assert "busybox" in done.stderr
    assert not (copy / ".venv").exists()


def test_a_stage_that_fails_shows_the_end_of_its_log_and_leaves_no_stamp(
    copy: Path, tmp_path: Path
) -> None:
    """A requirement that can't be read fails pip, offline and at once."""
    (copy / "requirements.txt").write_text("no such requirement ==\n")
    home = tmp_path / "home"
    done = run(copy / "lab", "setup", LAB_HOME=str(home))
    assert done.returncode == 1
    assert "Python packages: FAILED" in done.stderr
    assert "no such requirement" in done.stderr
    assert (home / "logs" / "setup-Python-packages.log").exists()
    assert not (copy / ".venv" / "made-from").exists()


def test_the_options_of_set_up_are_checked() -> None:
    done = run(ROOT / "lab", "setup", "--tset")
    usage = "usage: ./lab setup [--test] [--cluster] [--hub] [--box]\n"
    assert (done.returncode, done.stderr) == (2, usage)


@set_up
def test_a_second_set_up_finds_nothing_to_do() -> None:
    assert run(ROOT / "lab", "setup").returncode == 0
    done = run(ROOT / "lab", "setup")
    assert (done.returncode, done.stderr) == (0, "lab: everything is set up, nothing to do\n")


@set_up
@pytest.mark.parametrize("place", ["lib/modules", "usr/lib/modules"])
def test_a_kernels_modules_are_found_where_its_package_has_them(tmp_path: Path, place: str) -> None:
    """Debian 12 has them in the first, Debian 13 in the second."""
    tree = tmp_path / place / "6.1.0-9-cloud-amd64"
    tree.mkdir(parents=True)
    script = '. "$0/setup/kernel.sh"; kernel_modules "$1"'
    done = subprocess.run(["bash", "-ec", script, ROOT, tmp_path], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == (f"{tree}\n", "")


def test_run_passes_on_to_labrt() -> None:
    done = run(ROOT / "lab", "run", "busybox", "sh", "-c", "echo $((6 * 7)); exit 3")
    assert (done.stdout, done.returncode) == ("42\n", 3)


def wait_until_listening(address: str) -> None:
    """JupyterLab tells its address a moment before it listens there."""
    deadline = time.monotonic() + 30
    host, _, port = address.removeprefix("http://").partition(":")
    while True:
        try:
            socket.create_connection((host, int(port)), timeout=5).close()
            return
        except ConnectionRefusedError:
            assert time.monotonic() < deadline, f"nothing listens at {address}"
            time.sleep(0.1)


@pytest.fixture
def notebooks() -> Iterator[str]:
    """Start `./lab notebooks`; give the address with the token; end it as Ctrl-C twice does."""
    server = subprocess.Popen(
        [ROOT / "lab", "notebooks", "--port=0"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert server.stderr is not None
    said = ""
    for line in server.stderr:
        said += line
        if found := re.search(r"http://127\.0\.0\.1:\d+/lab\?token=\w+", line):
            yield found[0]
            break
    else:
        pytest.fail(f"JupyterLab told no address:\n{said}")
    server.send_signal(signal.SIGTERM)
    server.communicate(timeout=20)


@set_up
def test_notebooks_are_served_to_this_machine_with_a_token_only(notebooks: str) -> None:
    address, _, token = notebooks.partition("/lab?token=")
    wait_until_listening(address)
    with urllib.request.urlopen(f"{address}/api/contents?token={token}", timeout=20) as answer:
        names = [entry["name"] for entry in json.load(answer)["content"]]
    assert {path.name for path in (ROOT / "notebooks").glob("*.ipynb")} <= set(names)
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(f"{address}/api/contents", timeout=20)
    refused.value.close()
    assert refused.value.code == 403


def test_notebooks_in_a_language_that_there_is_none_in_name_those_there_are() -> None:
    done = run(ROOT / "lab", "notebooks", "--language", "xx")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].endswith("Remedy: there is: ko")


@pytest.mark.slow  # downloads everything: minutes, and it needs the network
@pytest.mark.timeout(1200)
def test_set_up_from_nothing_survives_being_killed(copy: Path, tmp_path: Path) -> None:
    home = {"LAB_HOME": str(tmp_path / "home")}
    first = subprocess.Popen(
        [copy / "lab", "setup"],
        env={**os.environ, **home},
        stdin=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    while not (copy / ".venv" / "bin" / "pip").exists():
        assert first.poll() is None
        time.sleep(0.1)
    os.killpg(first.pid, signal.SIGKILL)
    first.wait()
    assert not (copy / ".venv" / "made-from").exists()

    second = run(copy / "lab", "setup", timeout=900, **home)
    assert second.returncode == 0, second.stderr
    third = run(copy / "lab", "setup", **home)
    assert third.stderr == "lab: everything is set up, nothing to do\n"
    hello = run(copy / "lab", "run", "busybox", "echo", "hello", **home)
    assert hello.stdout == "hello\n"


@set_up
def test_labrt_passes_on_to_any_command_of_the_runtime() -> None:
    done = run(ROOT / "lab", "labrt", "run", "--name", "lab-verb", "busybox", "true")
    assert (done.returncode, done.stderr) == (0, "")
    assert run(ROOT / "lab", "labrt", "rm", "lab-verb").stdout == "lab-verb\n"
