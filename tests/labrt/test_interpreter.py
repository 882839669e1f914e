"""The interpreter: a Python that the container's user owns is not what the command runs as."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from sysconfig import get_path

import pytest

from labrt import state

ROOT = Path(__file__).parent.parent.parent
NOBODY = 65534

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")


@dataclass
class Owner:
    """A normal user with a Python of their own, as uv(1) and pyenv make them."""

    folder: Path

    @property
    def python(self) -> str:
        return f"{self.folder}/python/bin/python3"

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        own = {"LAB_HOME": f"{self.folder}/home", "LAB_RUN": f"{self.folder}/run"}
        path = {"PYTHONPATH": f"{ROOT}:{get_path('purelib')}", "PYTHONDONTWRITEBYTECODE": "1"}
        return subprocess.Popen(
            [self.python, "-m", "labrt.cli", *arguments],
            user=NOBODY, group=NOBODY, extra_groups=[], cwd="/", env={**os.environ, **own, **path},
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    def labrt(self, *arguments: str, input: str = "") -> tuple[str, str, int]:
        """Return output, errors and status."""
        with self.start(*arguments) as process:
            return *process.communicate(input, timeout=60), process.returncode


@pytest.fixture(scope="module")
def owner() -> Iterator[Owner]:
    # Not pytest's tmp_path: nobody else may pass through that one.
    folder = Path(tempfile.mkdtemp(prefix="lab-owner-"))
    try:
        someone = Owner(folder)
        command = [sys.executable, "-m", "venv", "--copies", "--without-pip", folder / "python"]
        subprocess.run(command, check=True)
        for path in (folder, *folder.rglob("*")):
            os.chown(path, NOBODY, NOBODY, follow_symlinks=False)
        _, errors, status = someone.labrt("image", "base", "busybox")
        if "Permission denied" in errors:
            pytest.skip(f"uid {NOBODY} may not read the lab's folder")
        assert status == 0, errors
        yield someone
    finally:
        state.remove_tree(folder)


def test_the_command_runs_from_a_copy_and_passes_on_what_it_was_given(owner: Owner) -> None:
    script = "cat; echo $1; exit 3"
    done = owner.labrt("run", "-i", "busybox", "sh", "-c", script, "-", "b c", input="a\n")
    assert done == ("a\nb c\n", "", 3)


def test_what_clones_is_the_sealed_copy_not_the_users_file(owner: Owner) -> None:
    """CVE-2019-5736: the container can reach the executable of the process it is cloned from."""
    with owner.start("run", "-i", "busybox", "sh", "-c", "echo ready; cat") as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        assert os.readlink(f"/proc/{process.pid}/exe").startswith("/memfd:python")


@pytest.mark.usefixtures("nothing_left")
def test_where_the_container_cannot_write_the_file_it_is_run_itself(home: Path) -> None:
    """Root's containers map ids that own nothing on the host: no copy, no second start."""
    script = "echo ready; cat"
    command = [sys.executable, "-m", "labrt.cli", "run", "-i", "busybox", "sh", "-c", script]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, text=True, cwd=ROOT, **pipes) as process:  # type: ignore[call-overload]
        assert process.stdout.readline() == "ready\n"
        assert not os.readlink(f"/proc/{process.pid}/exe").startswith("/memfd:")


def test_an_error_is_still_one_line(owner: Owner) -> None:
    _, errors, status = owner.labrt("run", "busybox", "nosuch")
    assert (status, errors.count("\n")) == (127, 1)
