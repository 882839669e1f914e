"""labrt build by a normal user: with a range of ids, and without one."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from labrt.images import store
from tests.labrt import test_rootless
from tests.labrt.building.test_build import build
from tests.labrt.test_rootless import FIRST, USER, User, needs_uidmap, user

pytestmark = test_rootless.pytestmark

PLAIN = """FROM busybox AS one
WORKDIR /app
COPY . .
RUN echo made >made; mkdir -m 700 closed; echo x >closed/x; chmod 4755 made
FROM scratch
COPY --from=busybox /bin/busybox /bin/sh
COPY --from=one /app /app
RUN echo x >/x; rm -r /app/closed /app/file; mkdir /app/closed
"""
OWNED = """FROM busybox
RUN mkdir /d; echo x >/d/f; chown -R 7:8 /d; chmod 2750 /d
COPY --chown=nobody:9 file /theirs/
RUN rm /theirs/file
"""


@pytest.fixture(scope="module")
def ranged() -> Iterator[User]:
    with user(f"nobody:{FIRST}:65536\n") as someone:
        yield someone


@pytest.fixture(scope="module")
def single() -> Iterator[User]:
    with user("somebody:1:1\n") as someone:
        yield someone


def theirs(someone: User, text: str) -> subprocess.CompletedProcess[str]:
    """Have a user build; what they copy is theirs, in a folder that nobody else enters."""
    folder = someone.folder / "context"
    folder.mkdir(exist_ok=True)
    (folder / "Containerfile").write_text(text)
    (folder / "file").write_text("x")
    (folder / ".dockerignore").write_text("Containerfile")
    for path in (folder, *folder.iterdir()):
        path.chmod(0o700 if path == folder else 0o644)
        os.chown(path, USER, USER)
    return someone.labrt("build", "-t", "built", "--network", "none", str(folder))


def ours(folder: Path, text: str) -> store.Image:
    (folder / "file").write_text("x")
    (folder / "file").chmod(0o644)
    (folder / ".dockerignore").write_text("Containerfile")
    (folder / ".dockerignore").chmod(0o644)
    return build(folder, text)


@needs_uidmap
@pytest.mark.parametrize("text", [PLAIN, OWNED], ids=["plain", "owned"])
def test_a_user_with_a_range_builds_what_root_builds(
    ranged: User, tmp_path: Path, text: str
) -> None:
    done = theirs(ranged, text)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == ours(tmp_path, text).digest


def test_a_user_without_a_range_does_so_too_where_all_is_roots(
    single: User, tmp_path: Path
) -> None:
    done = theirs(single, PLAIN)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == ours(tmp_path, PLAIN).digest


def test_who_has_no_other_ids_is_told_so(single: User) -> None:
    done = theirs(single, "FROM busybox\nCOPY --chown=7 file /\n")
    assert (done.returncode, done.stdout) == (125, "")
    assert "Containerfile:2: " in done.stderr
    assert "no other id than root's" in done.stderr
    assert "usermod --add-subuids" in done.stderr
    assert single.left() == []
