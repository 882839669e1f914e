"""labrt/images/references.py: names are read as Docker reads them."""

from __future__ import annotations

from pathlib import Path

import pytest

from labrt.errors import LabError
from labrt.images import making, references, store
from labrt.images.references import Reference

DIGEST = "sha256:" + "0123456789abcdef" * 4

READ = {
    "busybox": Reference("", "busybox"),
    "busybox:1.36": Reference("", "busybox", "1.36"),
    "team/app": Reference("", "team/app"),
    "a.b": Reference("", "a.b"),
    "localhost/app": Reference("localhost", "app"),
    "localhost:5000/team/app:v1": Reference("localhost:5000", "team/app", "v1"),
    "127.0.0.1:5000/app": Reference("127.0.0.1:5000", "app"),
    "[::1]:5000/app": Reference("[::1]:5000", "app"),
    "example.org/a/b/c:V_1.0-x": Reference("example.org", "a/b/c", "V_1.0-x"),
    f"example.org/app@{DIGEST}": Reference("example.org", "app", "latest", DIGEST),
    f"example.org/app:v1@{DIGEST}": Reference("example.org", "app", "v1", DIGEST),
    "UPPER/app": Reference("UPPER", "app"),
    "docker.io/alpine": Reference("docker.io", "library/alpine"),
    "index.docker.io/team/app": Reference("docker.io", "team/app"),
    "a__b/c--d": Reference("", "a__b/c--d"),
}


@pytest.mark.parametrize(("text", "meant"), READ.items(), ids=READ.keys())
def test_a_reference_is_read(text: str, meant: Reference) -> None:
    assert references.parse(text) == meant


WRONG = {
    "": "no repository",
    "Busybox": "lower case",
    "example.org/App": "lower case",
    "app:": "make a tag",
    "app:-x": "make a tag",
    "app:" + "x" * 129: "make a tag",
    "app@sha256:abc": "isn't sha256",
    "app@": "isn't sha256",
    f"app@sha512:{'0' * 128}": "isn't sha256",
    "a//b": "no repository",
    "a/../b": "no repository",
    "/a": "no repository",
    "a/": "no repository",
    "-a": "no repository",
    "a b": "no repository",
    "a___b": "no repository",
    "exa mple.org/app": "no registry",
    "-x.org/app": "no registry",
    "user@example.org/app": "isn't sha256",
    "https://example.org/app": "no registry",
    "example.org:port/app": "no registry",
    "example.org/" + "x" * 255: "longer than 255",
    "app\n": "no repository",
    "app:v1\n": "make a tag",
}


@pytest.mark.parametrize(("text", "why"), WRONG.items(), ids=map(repr, WRONG))
def test_what_is_no_reference_is_refused_in_one_line(text: str, why: str) -> None:
    with pytest.raises(LabError, match=why) as refused:
        references.parse(text)
    assert "\n" not in str(refused.value)


def test_latest_is_what_is_meant_without_a_tag() -> None:
    assert str(references.parse("localhost:5000/app:latest")) == "localhost:5000/app"
    assert str(references.parse("busybox:latest")) == "busybox"


def test_over_the_network_a_name_without_a_registry_is_the_hubs() -> None:
    assert str(references.parse("alpine").remote()) == "docker.io/library/alpine"
    assert str(references.parse("team/app:v1").remote()) == "docker.io/team/app:v1"
    assert str(references.parse("localhost/app").remote()) == "localhost/app"


class TestInTheStore:
    @pytest.fixture(autouse=True)
    def empty_store(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("LAB_HOME", str(tmp_path))

    @pytest.mark.parametrize(
        ("tagged", "asked"),
        [
            ("app", "app:latest"),
            ("app:latest", "app"),
            ("docker.io/library/alpine", "alpine"),
            ("docker.io/library/alpine", "docker.io/alpine:latest"),
            (f"localhost/app@{DIGEST}", f"localhost/app:v9@{DIGEST}"),
        ],
    )
    def test_an_image_is_found_by_whatever_means_it(self, tagged: str, asked: str) -> None:
        made = making.image(tagged, [], {"config": {}})
        assert store.resolve(asked).digest == made.digest

    def test_the_stores_own_name_comes_before_the_hubs(self) -> None:
        own = making.image("alpine", [], {"config": {"User": "own"}})
        making.image("docker.io/library/alpine", [], {"config": {"User": "theirs"}})
        assert store.resolve("alpine").digest == own.digest

    def test_what_is_not_here_but_has_a_registry_can_be_pulled(self) -> None:
        with pytest.raises(LabError, match="Remedy: labrt pull localhost:5000/app:v1"):
            store.resolve("localhost:5000/app:v1")

    def test_what_is_no_reference_names_nothing(self) -> None:
        with pytest.raises(LabError, match="lower case"):
            making.image("App", [], {"config": {}})
        assert store.names() == []
