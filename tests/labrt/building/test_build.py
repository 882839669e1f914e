"""labrt build: from a Containerfile to an image, told as its user sees it."""

from __future__ import annotations

import subprocess
import tarfile
from pathlib import Path

import pytest

import labrt
from labrt.images import compression, store
from labrt.images.store import Image
from tests.labrt.test_cli import ROOT, command, environment

pytestmark = pytest.mark.usefixtures("nothing_left")


@pytest.fixture
def context(tmp_path: Path) -> Path:
    folder = tmp_path / "context"
    folder.mkdir()
    return folder


def run_build(
    folder: Path, text: str, *options: str, status: int = 0, **variables: str
) -> subprocess.CompletedProcess[str]:
    """Build the image `built`."""
    (folder / "Containerfile").write_text(text)
    done = subprocess.run(
        command("build", "-t", "built", "--network", "none", *options, str(folder)),
        capture_output=True,
        text=True,
        timeout=60,
        env={**environment(), **variables},
        cwd=ROOT,
    )
    assert done.returncode == status, done.stderr
    return done


def build(folder: Path, text: str, *options: str, **variables: str) -> Image:
    done = run_build(folder, text, *options, **variables)
    image = store.resolve("built")
    assert done.stdout == f"{image.digest}\n"
    return image


def refusal(folder: Path, text: str, *options: str) -> str:
    """Build what can't be built; return the one line that tells why."""
    before = store.names()
    done = run_build(folder, text, *options, status=125)
    assert store.names() == before
    assert done.stdout == ""
    last = done.stderr.splitlines()[-1]
    assert last.startswith("labrt: ")
    assert "Traceback" not in done.stderr
    return last


def members(image: Image, number: int = -1) -> dict[str, tarfile.TarInfo]:
    """What is in one layer: name → member."""
    blob = image.layers[number]
    with (
        store.Verified(blob.digest) as stream,
        compression.reading(stream, blob.media_type) as plain,
        tarfile.open(fileobj=plain, mode="r|") as archive,
    ):
        return {member.name: member for member in archive}


def inside(image: Image, script: str) -> list[str]:
    return labrt.output(image.name, ["/bin/sh", "-c", script], entrypoint="").split()


def test_an_image_from_nothing(context: Path) -> None:
    (context / "hello").write_text("hello")
    image = build(context, 'FROM scratch\nCOPY hello /\nCMD ["/hello"]\n')
    assert list(members(image)) == ["hello"]
    assert image.command == ("/hello",)
    assert len(image.layers) == 1


def test_what_a_run_has_changed_is_one_layer(context: Path) -> None:
    text = "FROM busybox\nRUN echo new >/file && mkdir -m 700 /private && ln /file /private/same\n"
    image = build(context, text)
    assert len(image.layers) == 2
    found = members(image)
    assert list(found) == ["file", "private", "private/same"]
    assert found["private"].mode == 0o700
    assert found["private/same"].islnk() and found["private/same"].linkname == "file"
    assert inside(image, "cat /private/same") == ["new"]
