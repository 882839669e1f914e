"""vagrant/class.sh with JupyterHub, on a server: a copy of this host in which systemd runs.

The real hub, proxy, PAM, systemd; what a host with cgroup v1 lacks are the limits: they hold in the
lab machine (test_machine.py).
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator

import pytest

from tests.vagrant.host_copy import Copy, booted, copied
from tests.vagrant.in_class import HUB, Class

CLASS = "/opt/lab/vagrant/class.sh"
JUPYTERS = "pgrep -u {} -f '[j]upyter' || true"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(1200),
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root, as a class's server does"),
]


@pytest.fixture(scope="module")
def server() -> Iterator[Copy]:
    with copied() as copy:
        copy.provision()
        with booted(copy) as server:
            yield server


@pytest.fixture(scope="module")
def in_class(server: Copy) -> Class:
    """JupyterHub, and a class of two that it lets in."""
    server.run(f"{CLASS} hub")
    return Class(server.run, server.run(f"{CLASS} add anna ben"))


def test_each_gets_a_password_and_no_jupyterlab_runs_unasked(in_class: Class) -> None:
    assert set(in_class.passwords) == {"anna", "ben"}
    told = in_class.run(f"{CLASS} list")
    assert re.search(r"^anna: ssh -L 8000:127\.0\.0\.1:8000 anna@\w+, then http://", told)
    assert "password" not in told
    assert in_class.run(JUPYTERS.format("anna")) == ""


def test_a_student_s_jupyterlab_is_the_student_s_and_nobody_else_opens_it(
    in_class: Class,
) -> None:
    told = in_class.tell(
        "anna, ben = student('anna'), student('ben')\n"
        "print(anna.start(), ben.start())\n"
        "print(anna.run('import os; print(os.getuid(), os.getcwd())').strip())\n"
        "print(anna.status('/user/anna/lab'), ben.status('/user/anna/lab'))\n"
        "print(anna.status('/user/anna/api/contents/02_uts.ipynb'))\n"
        "print(ben.status('/user/anna/api/contents'))"
    )
    uid = in_class.run("id -u anna").strip()
    assert told == ["True True", f"{uid} /home/anna/work", "200 403", "200", "403"]
    assert in_class.servers("anna") == [
        f"0::/user.slice/user-{uid}.slice/user@{uid}.service/app.slice/lab-hub-server.service"
    ]


def test_a_container_of_the_notebook_s_is_as_much_the_student_s_shell_s(in_class: Class) -> None:
    """Both are in the student's own systemd, so in one delegated cgroup."""
    words = ["/opt/lab/lab", "run", "--detach", "--name", "mine", "busybox"]
    start = f"import subprocess; print(subprocess.run({words}, capture_output=True).returncode)"
    assert in_class.tell(f"print(student('anna').run({start!r}).strip())") == ["0"]
    shell = "runuser -l anna -c 'lab labrt {}'"
    assert " mine " in in_class.run(shell.format("ps"))
    assert in_class.run(shell.format("exec mine echo entered")).strip() == "entered"
    in_class.run(shell.format("rm --force mine"))


def test_killed_it_comes_back_and_nobody_s_server_has_noticed(in_class: Class) -> None:
    before = in_class.run(JUPYTERS.format("anna"))
    in_class.run("systemctl kill --signal=SIGKILL lab-hub.service")
    answers = f'import urllib.request; urllib.request.urlopen("{HUB}/hub/login")'
    in_class.run(f"until python3 -c '{answers}' 2>/dev/null; do sleep 1; done")
    assert in_class.tell("print(student('anna').status('/user/anna/api/contents'))") == ["200"]
    assert in_class.run(JUPYTERS.format("anna")) == before != ""


def test_stopped_a_server_leaves_nothing(in_class: Class) -> None:
    in_class.tell("student('anna').stop()")
    assert in_class.run(JUPYTERS.format("anna")) == ""
    uid = in_class.run("id -u anna").strip()
    below = f"/sys/fs/cgroup/user.slice/user-{uid}.slice"
    assert in_class.run(f"find {below} -name 'lab-hub*'") == ""
    assert in_class.servers("ben") != []


def test_who_is_not_in_the_class_or_has_left_it_does_not_get_in(in_class: Class) -> None:
    in_class.run("echo student:known | chpasswd")
    told = in_class.tell(
        f"print(Student({HUB!r}, 'student').log_in('known'))\n"
        f"print(Student({HUB!r}, 'ben').log_in('guessed'))\n"
        "print(student('anna').session.headers['Authorization'])"
    )
    assert told[:2] == ["403", "403"]
    in_class.run(f"{CLASS} remove anna")
    in_class.learn(in_class.run(f"{CLASS} add anna"))
    old = f"it = Student({HUB!r}, 'anna'); it.session.headers['Authorization'] = {told[2]!r}\n"
    assert in_class.tell(f"{old}print(it.status('/hub/api/user'))") == ["403"]
    assert in_class.tell("print(student('anna').status('/hub/api/user'))") == ["200"]


def test_switched_off_it_leaves_nothing_and_ssh_leads_in_again(in_class: Class) -> None:
    told = in_class.run(f"{CLASS} hub off")
    found = re.search(r"^anna: ssh -L 8888:127\.0\.0\.1:(\d+) .*token=(\w+)$", told, re.MULTILINE)
    assert found is not None
    address = f"http://127.0.0.1:{found[1]}/api/contents?token={found[2]}"
    in_class.run(f"python3 -c 'import urllib.request; urllib.request.urlopen(\"{address}\")'")
    kept = "/etc/lab-hub /run/lab-hub /etc/systemd/system/lab-hub.service"
    assert in_class.run(f"ls -d {kept} 2>/dev/null || true") == ""
    assert in_class.run("pgrep -f '[j]upyterhub|[h]ttp-proxy' || true") == ""


def test_where_its_port_is_taken_it_says_so_and_all_is_as_before(in_class: Class) -> None:
    told = in_class.run(
        "systemd-run --quiet --collect --unit=other python3 -m http.server 8081 --bind 127.0.0.1\n"
        "until python3 -c 'import socket; socket.create_connection((\"127.0.0.1\", 8081))'"
        f" 2>/dev/null; do sleep 0.2; done; {CLASS} hub || echo $?; systemctl stop other"
    )
    assert told.startswith("lab: start JupyterHub: port 8081 is taken. Remedy: ")
    assert told.count("\n") == 2  # that line, and the status
    assert in_class.run(JUPYTERS.format("anna")) != ""


def test_open_to_a_network_it_speaks_tls_and_tells_the_certificate_s_fingerprint(
    in_class: Class,
) -> None:
    """Switched on again, in place of the JupyterLabs that always run."""
    told = in_class.run(f"LAB_HUB_ADDRESS=0.0.0.0 {CLASS} hub")
    assert re.search(r"^anna: https://\w+:8000$", told, re.MULTILINE)
    assert "password" not in told  # they have theirs
    assert in_class.run(JUPYTERS.format("anna")) == ""
    seen = in_class.run(
        "openssl s_client -connect 127.0.0.1:8000 </dev/null 2>/dev/null |"
        " openssl x509 -noout -fingerprint -sha256"
    )
    assert re.fullmatch(r"sha256 Fingerprint=([0-9A-F]{2}:){31}[0-9A-F]{2}", seen.strip())
    assert seen in told


def test_without_students_and_hub_the_server_is_as_it_was(in_class: Class) -> None:
    in_class.run(f"{CLASS} remove anna ben && {CLASS} hub off")
    assert in_class.run("getent passwd anna ben lab-class || true") == ""
    assert in_class.run("ls -d /etc/systemd/system/user-*.slice.d 2>/dev/null || true") == ""
    assert in_class.run("ls -d /home/anna /home/ben 2>/dev/null || true") == ""
