"""The judges of the lesson "build" can reach each of their answers; its check tells an image's file
from a container's own."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

import labrt
from labrt.lessons.lesson import check_of, prediction


def test_the_judges_of_build() -> None:
    judge = prediction("build-p1").judge
    assert [judge(sent=sent, whole=1000, changed=30) for sent in (1000, 200, 30)] == ["a", "b", "c"]
    judge = prediction("build-p2").judge
    assert [judge(said=said, old="old", new="new") for said in ("new", "old", "")] == [
        "a",
        "b",
        "c",
    ]
    judge = prediction("build-p3").judge
    assert judge(said="hello:1 sha256:11", digest="22") == "a"
    assert judge(said="labrt: the blob sha256:22: what came has sha256:33", digest="22") == "b"
    assert judge(said="labrt: unpack: no archive", digest="22") == "c"


@pytest.mark.usefixtures("nothing_left")
def test_a_file_that_the_container_has_made_itself_is_not_its_images() -> None:
    look = check_of("build-01").observe
    make = "mkdir -p /srv; : > /srv/plum-1; sleep 600"
    with labrt.run("busybox", ["sh", "-c", make]) as box:
        file = Path(f"/proc/{box.pid}/root/srv/plum-1")
        while not file.exists():
            assert box.exit_code is None
        assert not look("plum-1").passed
        assert "from itself, not its image" in look("plum-1").saw
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "plum-1").touch()
        Path(folder, "Containerfile").write_text("FROM busybox\nCOPY plum-1 /srv/\n")
        labrt.build(folder, "with-plum")
    with labrt.run("with-plum", ["sleep", "600"]):
        assert look("plum-1").passed
