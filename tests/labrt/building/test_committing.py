"""labrt commit: a container's changes are one more layer."""

from __future__ import annotations

import os
import subprocess

import pytest

import labrt
from labrt.building.committing import commit
from labrt.errors import LabError
from labrt.images import store
from tests.labrt.building.test_build import members
from tests.labrt.test_cli import command, environment

pytestmark = pytest.mark.usefixtures("nothing_left")


def committed(script: str) -> store.Image:
    """An image of what a container was after a script."""
    handle = labrt.create("busybox", ["sh", "-c", script], volume=["/data"])
    try:
        handle.start()
        assert handle.wait(20) == 0
        done = subprocess.run(
            command("commit", handle.id, "changed"),
            capture_output=True,
            text=True,
            timeout=60,
            env=environment(),
        )
        assert done.stderr == ""
        assert done.stdout.strip() == store.resolve("changed").digest
    finally:
        handle.remove(force=True)
    return store.resolve("changed")


def test_the_image_is_the_containers_and_one_more_layer() -> None:
    image = committed("echo new >/file; mkdir -m 700 /private; chown 5:6 /private || true")
    base = store.resolve("busybox")
    assert image.layers[:-1] == base.layers
    assert (image.command, image.env) == (base.command, base.env)
    seen = "cat /file; stat -c '%u %g %a' /private; ls /data"
    owners = ["5", "6"] if os.geteuid() == 0 else ["0", "0"]
    assert labrt.output("changed", ["sh", "-c", seen]).split() == ["new", *owners, "700"]


def test_what_is_deleted_is_named_so_and_a_volume_stays_out() -> None:
    found = members(committed("rm -r /etc/passwd /lab; mkdir /lab; echo x >/data/y"))
    assert set(found) == {"etc", "etc/.wh.passwd", "lab", "lab/.wh..wh..opq", "data"}
    assert found["etc/.wh.passwd"].size == 0


def test_without_a_change_there_is_no_layer() -> None:
    handle = labrt.create("busybox", ["true"])
    try:
        image = commit(handle.folder, "same")
        assert image.layers == store.resolve("busybox").layers
        assert image.config["history"][-1]["empty_layer"] is True
    finally:
        handle.remove(force=True)


def test_what_runs_is_not_committed() -> None:
    handle = labrt.create("busybox", ["sleep", "60"])
    try:
        handle.start()
        with pytest.raises(LabError, match="it is running"):
            commit(handle.folder, "running")
    finally:
        handle.remove(force=True)
