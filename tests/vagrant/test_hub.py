"""JupyterHub as a class has it (vagrant/hub): the real one with its real proxy, by TLS, here.

Who gets in, and what is said where systemd has nothing to start: this host is no lab machine. That
systemd runs the students' servers is shown in one (test_machine.py).
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
HUB = ROOT / "vagrant" / "hub"
URL = "https://127.0.0.1:8000"
START_SECONDS = 90.0
PASSWORDS = {"anna": "mine", "ben": "another's"}
IDS = {"anna": 54_321, "ben": 54_322}

# In a mount namespace this host has two more users, of whom anna is in the class.
BEGIN = """
for file in passwd shadow group; do mount --bind "$0/$file" "/etc/$file"; done
ip link set lo up
exec "$@"
"""


def shell(script: str, **settings: str) -> subprocess.CompletedProcess[str]:
    """Run with the functions of hub.sh, and these of the lab's settings alone."""
    parts = f"root={ROOT}; source {ROOT}/setup/stage.sh; source {HUB}/hub.sh; {script}"
    kept = {name: value for name, value in os.environ.items() if not name.startswith("LAB_")}
    command = ["bash", "-euo", "pipefail", "-c", parts]
    return subprocess.run(
        command, env={**kept, **settings}, capture_output=True, text=True, timeout=30
    )


@dataclass(frozen=True)
class Hub:
    """A running hub: the namespaces of its process are where it is reached."""

    pid: int
    folder: Path

    def tell(self, script: str) -> list[str]:
        """Run Python with `student(name)` beside the hub; return what it prints."""
        begin = (
            "from tests.vagrant.hub_client import Student\n"
            f"student = lambda name: Student({URL!r}, name, {str(self.folder / 'cert.pem')!r})\n"
        )
        inside = ["nsenter", f"--target={self.pid}", "--net", "--"]
        done = subprocess.run(
            [*inside, sys.executable, "-c", begin + script],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=100,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.splitlines()


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    if os.geteuid() != 0:
        pytest.skip("needs root, as the hub does")
    folder = tmp_path_factory.mktemp("hub")
    for name in ("passwd", "shadow", "group"):
        shutil.copy(f"/etc/{name}", folder)
    for name, password in PASSWORDS.items():
        put_user(folder, name, password)
    with (folder / "group").open("a") as group:
        group.write("lab-class:x:54320:anna\n")
    made = shell(f"hub_folder={folder}; hub_certificate 127.0.0.1")
    assert made.returncode == 0, made.stderr
    settings = {"LAB_HUB_URL": URL, "PYTHONPATH": str(ROOT)}
    settings |= {"LAB_HUB_CERT": f"{folder}/cert.pem", "LAB_HUB_KEY": f"{folder}/key.pem"}
    command = [sys.executable, "-m", "jupyterhub", f"--config={HUB}/jupyterhub_config.py"]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            ["unshare", "--mount", "--net", "sh", "-ec", BEGIN, folder, *command],
            cwd=folder,
            env={**os.environ, **settings},
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        wait_for_hub(process, folder)
        yield Hub(process.pid, folder)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)


def put_user(folder: Path, name: str, password: str) -> None:
    hashed = subprocess.run(
        ["openssl", "passwd", "-6", password], capture_output=True, text=True, check=True
    )
    lines = {
        "passwd": f"{name}:x:{IDS[name]}:{IDS[name]}::/nonexistent:/bin/sh\n",
        "shadow": f"{name}:{hashed.stdout.strip()}:20000:0:99999:7:::\n",
        "group": f"{name}:x:{IDS[name]}:\n",
    }
    for file, line in lines.items():
        with (folder / file).open("a") as stream:
            stream.write(line)


def wait_for_hub(process: subprocess.Popen[bytes], folder: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while "JupyterHub is now running" not in (log := (folder / "log").read_text()):
        assert process.poll() is None, log
        assert time.monotonic() < deadline, log
        time.sleep(0.1)


def test_who_is_in_the_class_gets_in_by_password(hub: Hub) -> None:
    told = hub.tell(
        "print(student('anna').log_in('wrong'), student('anna').log_in('mine'))\n"
        "print(student('ben').log_in(\"another's\"), student('root').log_in(''))"
    )
    assert told == ["403 302", "403 403"]


def test_a_student_whose_server_systemd_can_t_start_is_told_what_it_said(hub: Hub) -> None:
    (started, said) = hub.tell(
        "anna = student('anna'); anna.log_in('mine'); print(anna.start()); print(anna.said)"
    )
    assert started == "False"
    assert "systemd-run: Failed to" in said
    assert "Traceback" not in said


def test_its_secrets_are_for_nobody_else(hub: Hub) -> None:
    secrets = ["class-token", "jupyterhub_cookie_secret", "key.pem"]
    assert {oct((hub.folder / name).stat().st_mode & 0o077) for name in secrets} == {"0o0"}
    words = Path(f"/proc/{hub.pid}/cmdline").read_text()
    assert (hub.folder / "class-token").read_text() not in words


def test_the_proxy_is_the_one_that_jupyterhub_is_made_for(hub: Hub) -> None:
    children = Path(f"/proc/{hub.pid}/task/{hub.pid}/children").read_text().split()
    words = [Path(f"/proc/{pid}/cmdline").read_text() for pid in children]
    assert any("configurable-http-proxy" in each for each in words), words


@pytest.mark.parametrize(
    ("settings", "remedy"),
    [
        ({"LAB_HUB_ADDRESS": "here"}, "an IPv4 address of this server, or 0.0.0.0 for all"),
        ({"LAB_HUB_PORT": "0"}, "a whole number from 1 to 65535"),
        ({"LAB_HUB_PORT": "70000"}, "a whole number from 1 to 65535"),
        ({"LAB_HUB_CERT": "/etc/passwd"}, "two files in PEM"),
        ({"LAB_HUB_CERT": "/no/such", "LAB_HUB_KEY": "/etc/passwd"}, "two files in PEM"),
    ],
    ids=lambda value: ",".join(value) if isinstance(value, dict) else "",
)
def test_a_setting_that_can_t_be_is_refused(settings: dict[str, str], remedy: str) -> None:
    done = shell("hub_url", **settings)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.count("\n") == 1
    assert f"Remedy: {remedy}" in done.stderr


def test_a_port_that_is_taken_is_named_before_anything_is_done() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = shell(f"hub_need_ports {port}")
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert f"port {port} is taken. Remedy: end who has it" in done.stderr
    assert shell(f"hub_need_ports {port}").returncode == 0


@pytest.mark.parametrize(
    ("address", "url"),
    [
        ("", "http://127.0.0.1:8000"),
        ("127.0.0.2", "http://127.0.0.2:8000"),
        ("192.0.2.7", "https://192.0.2.7:8000"),
        ("0.0.0.0", "https://0.0.0.0:8000"),
    ],
)
def test_passwords_cross_no_network_in_clear(address: str, url: str) -> None:
    assert shell("hub_url", LAB_HUB_ADDRESS=address).stdout.strip() == url
