"""bench/subjects/docker.py: in a daemon that is others', too, only what is the lab's is touched."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench import clean
from bench.subjects import docker
from bench.subjects.base import Workload
from bench.subjects.docker import ENGINE, Docker
from labrt.errors import LabError
from labrt.images import store


@pytest.fixture
def subject(
    docker_daemon: str, busybox: Workload, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Docker]:
    monkeypatch.setenv("DOCKER_HOST", docker_daemon)
    made = Docker()
    if reason := made.unavailable():
        pytest.skip(reason)
    with made:
        made.prepare(busybox)
        yield made


def images() -> set[str]:
    return set(ENGINE.call("image", "ls", "--format={{.Repository}}:{{.Tag}}").split())


def kept(subject: Docker) -> str:
    """Return what the subject's only image is called in Docker."""
    (name,) = subject._images.values()
    return name


def test_the_image_is_the_stores_own(subject: Docker, busybox: Workload) -> None:
    manifest = json.loads(store.get(busybox.digest))
    told = ENGINE.call("image", "inspect", "--format={{.Id}}", kept(subject))
    assert told == manifest["config"]["digest"]
    assert subject.conditions()["image_kept"] == "config and layers"


def test_closing_removes_the_image_and_the_note(subject: Docker) -> None:
    assert kept(subject) in images()
    assert docker.noted().exists()
    image = kept(subject)
    subject.close()
    assert image not in images()
    assert not docker.noted().exists()


def test_others_containers_and_images_stay(subject: Docker, busybox: Workload) -> None:
    ENGINE.call("tag", kept(subject), "somebody/else:1")
    ENGINE.call("run", "--detach", "--name=not-the-labs", "--network=none", "somebody/else:1")
    try:
        with subject.start(busybox, "lab-docker-mine") as instance:
            instance.wait_ready(30)
            assert [*clean.docker_containers()] == ["Docker container lab-docker-mine"]
        assert ENGINE.call("inspect", "--format={{.State.Running}}", "not-the-labs") == "true"
        assert "somebody/else:1" in images()
        assert kept(subject) not in images()
    finally:
        ENGINE.remove("not-the-labs")
        ENGINE.remove_image("somebody/else:1")


def test_no_daemon_is_told_with_the_remedy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    reason = Docker().unavailable()
    assert reason is not None
    assert ("no Docker daemon answers" in reason and "DOCKER_HOST" in reason) or "apt-get" in reason


def test_clean_tells_of_a_daemon_that_was_used_and_answers_no_more(
    home: Path, tmp_path: Path
) -> None:
    docker.noted().write_text(f"unix://{tmp_path}/none.sock")
    try:
        with pytest.raises(LabError):
            list(clean.docker_containers())
    finally:
        docker.noted().unlink()


def test_where_docker_was_not_used_clean_asks_nobody(
    home: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert list(clean.docker_containers()) == []
