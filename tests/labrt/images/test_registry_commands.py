"""labrt pull, push, login, logout: what the command line adds to labrt/images/registry.py."""

from __future__ import annotations

import io
import json
import os
import pty
import stat
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from labrt.cli import main
from labrt.images import base, store
from tests.labrt.images import servers
from tests.labrt.images.conftest import image, needs_registry
from tests.labrt.images.servers import PASSWORD, USER
from tests.labrt.test_cli import command, environment, labrt

pytestmark = [needs_registry, pytest.mark.usefixtures("machine")]
Machine = Callable[[str], None]


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("guarded")
    with servers.registry(folder, auth=servers.htpasswd(folder)) as address:
        yield address


def log_in(
    address: str, password: str = PASSWORD, *options: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command("login", "-u", USER, "--password-stdin", *options, address),
        input=password + "\n",
        capture_output=True,
        text=True,
        timeout=60,
        env=environment(),
    )


def on_a_terminal(*arguments: str, **typed: str) -> tuple[int, str]:
    """Run labrt on a terminal of its own; return its status and what the screen showed.

    Args:
        typed: what is typed in answer to which prompt.
    """
    master, slave = pty.openpty()
    process = subprocess.Popen(
        ["setsid", "--ctty", "--wait", *command(*arguments)],
        stdin=slave,
        stdout=slave,
        stderr=slave,
        env=environment(),
    )
    os.close(slave)
    shown = ""
    try:
        while piece := os.read(master, 4096).decode():
            shown += piece
            for prompt in [each for each in typed if shown.endswith(f"{each}: ")]:
                os.write(master, f"{typed.pop(prompt)}\n".encode())
    except OSError:
        pass  # EIO: the last process has closed the terminal
    finally:
        os.close(master)
    return process.wait(10), shown


class TestPushAndPull:
    def test_an_image_is_pushed_pulled_and_run(self, plain: str, machine: Machine) -> None:
        name = f"{plain}/commands/busybox:v1"
        digest = base.ensure("busybox").digest
        pushed = labrt("push", "busybox", name)
        assert (pushed.returncode, pushed.stdout) == (0, f"{name} {digest}\n")
        machine("second")
        pulled = labrt("pull", name)
        assert (pulled.returncode, pulled.stdout) == (0, f"{name} {digest}\n")
        assert labrt("run", name, "echo", "here").stdout == "here\n"

    def test_each_blob_has_a_line_where_there_is_no_terminal(
        self, plain: str, machine: Machine
    ) -> None:
        made = image(f"{plain}/lines", 5000)
        layer = made.layers[0].digest[7:19]
        assert f"{layer}: sent, 5.0 kB\n" in labrt("push", made.name).stderr
        again = labrt("push", made.name).stderr
        assert f"{layer}: there already, 5.0 kB\n" in again
        assert again.endswith("0 bytes mounted, 5.2 kB there already\n")
        machine("second")
        assert f"{layer}: pulled, 5.0 kB\n" in labrt("pull", made.name).stderr
        assert f"{layer}: here already, 5.0 kB\n" in labrt("pull", made.name).stderr
        assert labrt("pull", "--quiet", made.name).stderr == ""

    def test_each_blob_has_a_bar_on_a_terminal(self, plain: str, machine: Machine) -> None:
        made = image(f"{plain}/bars", 5000)
        layer = made.layers[0].digest[7:19]
        for verb, how in (("push", "sent"), ("pull", "here already")):
            status, shown = on_a_terminal(verb, made.name)
            assert status == 0
            (bar,) = {line for line in shown.splitlines() if layer in line and how in line}
            assert "━" in bar

    def test_the_name_alone_is_latest(self, plain: str, machine: Machine) -> None:
        made = image("app", 10)
        labrt("push", "app:latest", f"{plain}/named")
        machine("second")
        assert labrt("pull", f"{plain}/named:latest").returncode == 0
        assert store.resolve(f"{plain}/named").digest == made.digest


class TestLogin:
    def test_it_is_tried_and_kept_until_logout(self, guarded: str) -> None:
        image("app", 10)
        refused = labrt("push", "app", f"{guarded}/app")
        assert refused.returncode == 125
        assert f"Remedy: labrt login {guarded}" in refused.stderr
        done = log_in(guarded)
        assert (done.returncode, done.stdout) == (0, f"logged in to {guarded} as {USER}\n")
        file = Path(os.environ["LAB_HOME"]) / "logins.json"
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert labrt("push", "app", f"{guarded}/app").returncode == 0
        assert labrt("logout", guarded).stdout == f"logged out of {guarded}\n"
        assert labrt("pull", f"{guarded}/app").returncode == 125
        assert "no login for it" in labrt("logout", guarded).stderr

    def test_a_wrong_password_is_not_kept(self, guarded: str) -> None:
        done = log_in(guarded, "no such")
        assert done.returncode == 125
        assert "401 Unauthorized" in done.stderr
        assert done.stderr.count("\n") == 1
        assert "no such" not in done.stderr
        assert not (Path(os.environ["LAB_HOME"]) / "logins.json").exists()

    def test_where_nobody_asks_for_one_none_is_kept(self, plain: str) -> None:
        done = log_in(plain)
        assert (done.returncode, "anybody may ask it" in done.stderr) == (125, True)

    def test_dockers_login_serves_as_well(self, guarded: str) -> None:
        log_in(guarded)
        theirs = Path(os.environ["DOCKER_CONFIG"])
        theirs.mkdir(parents=True)
        (Path(os.environ["LAB_HOME"]) / "logins.json").rename(theirs / "config.json")
        image("app", 10)
        assert labrt("push", "app", f"{guarded}/docker").returncode == 0

    def test_on_a_terminal_name_and_password_are_asked_for_and_the_password_not_shown(
        self, guarded: str
    ) -> None:
        status, shown = on_a_terminal("login", guarded, name=USER, password=PASSWORD)
        assert (status, f"logged in to {guarded} as {USER}" in shown) == (0, True)
        assert PASSWORD not in shown
        status, shown = on_a_terminal("login", "-u", USER, guarded, password=PASSWORD)
        assert (status, "name: " in shown) == (0, False)

    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            ("REGISTRY", "no terminal"),
            ("--password-stdin REGISTRY", "needs a name"),
            ("-u me --password-stdin REGISTRY", "the password is empty"),
            ("-u me --password-stdin http://REGISTRY", "no registry is called so"),
            ("-u me --password-stdin nodots", "no registry is called so"),
            ("-u me -p secret REGISTRY", "unrecognized arguments"),
        ],
    )
    def test_a_wrong_wish_is_one_line(
        self,
        guarded: str,
        arguments: str,
        said: str,
        capsys: pytest.CaptureFixture[str],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr("sys.stdin", io.StringIO())
        status = main(["login", *arguments.replace("REGISTRY", guarded).split()])
        _is_one_line(status, *capsys.readouterr(), said)


WRONG = {
    "pull": "required: IMAGE",
    "pull App": "lower case",
    "pull 127.0.0.1:1/app": "connection refused",
    "pull no-such-host.invalid/app": "no host has that name",
    "pull 127.0.0.1:99999/app": "that is no URL",
    f"pull {'a' * 64}.example/app": "label empty or too long",
    "pull PLAIN/nosuch": "404 Not Found",
    "pull PLAIN/nosuch:": "make a tag",
    "pull --platform amd64 PLAIN/app": "not OS/ARCHITECTURE",
    "pull --cert-dir /no/such PLAIN/app": "no file *.crt is there",
    "pull --tls-verify=maybe PLAIN/app": "invalid choice: 'maybe'",
    "push": "required: IMAGE",
    "push nosuch": "no such image in the store",
    "push app PLAIN/App": "lower case",
    "push app 127.0.0.1:1/app": "connection refused",
    "push app PLAIN/app@sha256:" + "0" * 64: "its digest is",
    "logout": "required: REGISTRY",
    "logout PLAIN": "no login for it",
    "logout a/b": "no registry is called so",
    "run PLAIN/nosuch": "Remedy: labrt pull",
}


@pytest.mark.parametrize(("arguments", "said"), WRONG.items(), ids=WRONG.keys())
def test_what_goes_wrong_is_one_line(
    plain: str, arguments: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    image("app", 10)
    status = main(arguments.replace("PLAIN", plain).split())
    _is_one_line(status, *capsys.readouterr(), said)


def _is_one_line(status: int, out: str, err: str, said: str) -> None:
    assert (status, out) == (125, "")
    assert err.startswith("labrt: ")
    assert err.count("\n") == 1
    assert said in err


def test_a_certificate_of_our_own(tmp_path: Path) -> None:
    made = servers.certificates(tmp_path / "trusted")
    tls = {"certificate": str(made.certificate), "key": str(made.key)}
    image("app", 10)
    (tmp_path / "registry").mkdir()
    auth = servers.htpasswd(tmp_path / "registry")
    with servers.registry(tmp_path / "registry", tls=tls, auth=auth) as address:
        there = f"{address}/app"
        assert "isn't trusted" in log_in(address).stderr
        assert log_in(address, PASSWORD, "--cert-dir", str(made.folder)).returncode == 0
        assert "isn't trusted" in labrt("push", "app", there).stderr
        assert labrt("push", "--cert-dir", str(made.folder), "app", there).returncode == 0
        assert labrt("pull", "--tls-verify=false", there).returncode == 0
        spoken = labrt("pull", "--plain-http", there)
        assert (spoken.returncode, "400" in spoken.stderr) == (125, True)
    assert json.loads((Path(os.environ["LAB_HOME"]) / "logins.json").read_text())["auths"]
