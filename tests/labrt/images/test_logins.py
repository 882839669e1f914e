"""labrt/images/logins.py: kept where nobody else reads them, found where other tools keep them."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest

from labrt.errors import LabError
from labrt.images import logins
from labrt.images.logins import Login

pytestmark = pytest.mark.usefixtures("machine")
AUTH = {"auth": Login("me", "secret").basic}


def docker(auths: object) -> None:
    folder = Path(os.environ["DOCKER_CONFIG"])
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps({"auths": auths, "credsStore": "desktop"}))


def test_what_is_kept_is_found_until_it_is_forgotten() -> None:
    logins.store("localhost:5000", Login("me", "se:cret"))
    logins.store("example.org", Login("you", "other"))
    assert logins.find("localhost:5000") == Login("me", "se:cret")
    logins.remove("localhost:5000")
    assert logins.find("localhost:5000") is None
    assert logins.find("example.org") == Login("you", "other")


def test_only_its_owner_reads_it(monkeypatch: pytest.MonkeyPatch) -> None:
    before = os.umask(0)
    try:
        logins.store("example.org", Login("me", "secret"))
    finally:
        os.umask(before)
    file = Path(os.environ["LAB_HOME"]) / "logins.json"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert {path.name for path in file.parent.iterdir()} == {"logins.json", "logins.lock"}


def test_a_password_is_not_shown() -> None:
    assert "secret" not in repr(Login("me", "secret"))


def test_to_forget_what_is_not_there_is_an_error() -> None:
    with pytest.raises(LabError, match="no login for it"):
        logins.remove("example.org")


@pytest.mark.parametrize(
    ("key", "registry"),
    [
        ("example.org", "example.org"),
        ("https://example.org", "example.org"),
        ("https://example.org/v1/", "example.org"),
        ("127.0.0.1:5000", "127.0.0.1:5000"),
        ("https://index.docker.io/v1/", "docker.io"),
    ],
)
def test_dockers_are_found(key: str, registry: str) -> None:
    docker({key: AUTH})
    assert logins.find(registry) == Login("me", "secret")
    assert logins.find("example.com") is None


@pytest.mark.parametrize("entry", [{}, {"auth": ""}, {"auth": "%"}, {"auth": 3}, None, "x"])
def test_an_entry_that_a_helper_program_keeps_is_passed_over(entry: object) -> None:
    docker({"example.org": entry})
    assert logins.find("example.org") is None


def test_the_file_named_by_the_environment_comes_before_dockers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    docker({"example.org": AUTH})
    file = tmp_path / "auth.json"
    file.write_text(json.dumps({"auths": {"example.org": {"auth": Login("two", "2").basic}}}))
    monkeypatch.setenv("REGISTRY_AUTH_FILE", str(file))
    assert logins.find("example.org") == Login("two", "2")
    logins.store("example.org", Login("own", "1"))
    assert logins.find("example.org") == Login("own", "1")


@pytest.mark.parametrize("text", ["{", "[]", '{"auths": []}', "\udcff"])
def test_a_file_of_another_form_is_named(text: str) -> None:
    docker({})
    file = Path(os.environ["DOCKER_CONFIG"]) / "config.json"
    file.write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(LabError, match=r"config\.json: it isn't of the form"):
        logins.find("example.org")
