"""A student at a machine: a home of their own, notebooks executed there, and what is left."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbformat import NotebookNode

from labrt import cgroups, paths, state

ROOT = Path(__file__).parent.parent.parent
SOLUTIONS = Path(__file__).parent / "solutions"
NOBODY = 65534
PATIENCE = float(os.environ.get("LAB_TEST_PATIENCE", "1"))  # how much slower this machine may be
NOTEBOOK_SECONDS = 60 * PATIENCE  # each must execute within this time
LONG_SECONDS = 180 * PATIENCE  # … and those that start virtual machines within this
LONG = ("19", "20", "21", "22")
GONE_SECONDS = 5.0 * PATIENCE  # what is ending gets this long to be gone


@dataclass(frozen=True)
class Student:
    """Somebody with a LAB_HOME of their own.

    Attributes:
        folder: holds all that they write.
        uid: who they are on the host.
        path: where their programs are (PATH).
    """

    folder: Path
    uid: int
    path: str = os.environ["PATH"]

    @property
    def home(self) -> Path:
        return self.folder / "home"

    def without(self, program: str) -> Student:
        """Return them on a host that has all of its programs but one."""
        folder = self.folder / f"without-{program}"
        folder.mkdir()
        for path in reversed([Path(each) for each in self.path.split(os.pathsep)]):
            for file in path.glob("*"):
                link = folder / file.name
                link.unlink(missing_ok=True)
                link.symlink_to(file)
        (folder / program).unlink()
        return replace(self, path=str(folder))

    def environment(self) -> dict[str, str]:
        own = {"HOME": self.folder, "LAB_HOME": self.home, "LAB_RUN": self.folder / "run"}
        fixed = {"LAB_STUDENT": "student", "PYTHONDONTWRITEBYTECODE": "1"}
        fixed["LAB_TEST_PATIENCE"] = str(PATIENCE)
        paths = {"PYTHONPATH": str(ROOT), "PATH": self.path}
        return {name: str(path) for name, path in own.items()} | fixed | paths

    def execute(self, notebook: NotebookNode, seconds: float = NOTEBOOK_SECONDS) -> NotebookNode:
        """Execute a notebook from top to bottom; fail the test if a cell fails, or if it takes
        longer than so many seconds."""
        return self.executed(self.begin(notebook), seconds)

    def begin(self, notebook: NotebookNode) -> subprocess.Popen[str]:
        """Have a process execute a notebook, for `executed`."""
        source, target = self.folder / "source.ipynb", self.folder / "executed.ipynb"
        nbformat.write(notebook, source)
        source.chmod(0o644)
        return subprocess.Popen(
            [sys.executable, "-m", "tests.notebooks.execute", str(source), str(target)],
            env=self.environment(),
            cwd=ROOT,
            **_as(self.uid),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )

    def executed(self, running: subprocess.Popen[str], seconds: float) -> NotebookNode:
        """Wait for its end, so many seconds at most, and return the notebook with its outputs."""
        with running:
            try:
                _, said = running.communicate(timeout=seconds)
            finally:
                running.kill()
        assert running.returncode == 0, said
        return nbformat.read(self.folder / "executed.ipynb", as_version=4)

    def ledger(self) -> list[dict[str, Any]]:
        """Return the entries of the ledger."""
        text = (self.home / "ledgers" / "student.json").read_text()
        entries: list[dict[str, Any]] = json.loads(text)["entries"]
        return entries

    def left(self) -> list[str]:
        """Return what is left of them on the host: containers, cgroups, processes."""
        folder = self.home / "containers"
        containers = [str(path) for path in folder.iterdir()] if folder.is_dir() else []
        return containers + self._cgroups() + self._processes()

    def _cgroups(self) -> list[str]:
        """Find cgroups by the one at their top, which is of this LAB_HOME alone."""
        top = f"{cgroups.TOP}{paths.suffix_of(self.home)}"
        tops = [folder / top for folder in cgroups.layout().folders]
        return [str(path) for top in tops if top.is_dir() for path in (top, *top.rglob("*/"))]

    def _processes(self) -> list[str]:
        """Find processes by their environment, which names this LAB_HOME."""
        mark = f"LAB_HOME={self.home}".encode()
        found = []
        for entry in Path("/proc").iterdir():
            try:
                if entry.name.isdigit() and mark in (entry / "environ").read_bytes():
                    found.append(f"process {entry.name}: {(entry / 'cmdline').read_text()}")
            except (FileNotFoundError, ProcessLookupError, PermissionError):
                continue  # it ended; or it is another user's
        return found


@contextmanager
def student(uid: int) -> Iterator[Student]:
    """A student who has never been here before; they must leave nothing but files of their own."""
    if uid != os.geteuid() and os.geteuid() != 0:
        pytest.skip("only root can be somebody else")
    if reason := containers_unavailable(uid):
        pytest.skip(f"uid {uid}: {reason}")
    # Not pytest's tmp_path: nobody else may pass through that one.
    folder = Path(tempfile.mkdtemp(prefix="lab-class-"))
    os.chown(folder, uid, uid if uid != os.geteuid() else -1)
    folder.chmod(0o755)
    _lend_kernels(folder / "home", uid)
    someone = Student(folder, uid)
    try:
        yield someone
        assert not (left := gone(someone)), left
    finally:
        state.remove_tree(folder)


def _lend_kernels(home: Path, uid: int) -> None:
    """Give a student the guest's kernel, if set-up has fetched one: a link, or a copy where it lies
    behind a folder that only its owner may pass through."""
    home.mkdir()
    if uid == os.geteuid():
        (home / "kernels").symlink_to(paths.home() / "kernels")
        return
    if (kernel := paths.home() / "kernels" / "cloud").exists():
        shutil.copytree(kernel, home / "kernels" / "cloud")
    for path in (home, *home.rglob("*")):
        os.chown(path, uid, uid)


def _as(uid: int) -> dict[str, Any]:
    """Return what lets subprocess run something as that user; only root may become another."""
    return {} if uid == os.geteuid() else {"user": uid, "group": uid, "extra_groups": []}


@cache
def containers_unavailable(uid: int) -> str:
    """Return why that user can't follow the lessons on this host, or ""."""
    ask = "from bench.checks import user_namespaces; print(user_namespaces().remedy)"
    command = [sys.executable, "-c", ask]
    environment = {"PYTHONPATH": str(ROOT), "PATH": os.environ["PATH"]}
    try:
        done = subprocess.run(
            command, env=environment, cwd=ROOT, **_as(uid), capture_output=True, text=True
        )
    except PermissionError as error:
        return f"may not read the lab's folder: {error}"
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def gone(someone: Student) -> list[str]:
    """Wait a little for what is ending; return what is left."""
    deadline = time.monotonic() + GONE_SECONDS
    while (left := someone.left()) and time.monotonic() < deadline:
        time.sleep(0.05)
    return left


def allowed(path: Path) -> float:
    """Return how long a notebook may take, seconds."""
    return LONG_SECONDS if path.name.startswith(LONG) else NOTEBOOK_SECONDS


def solved(notebook: NotebookNode) -> NotebookNode:
    """Put the hidden solutions where the cells' tags say."""
    for cell in notebook.cells:
        kind, identity = tag_of(cell)
        key, _, number = identity.rpartition("-")
        if kind == "exercise":
            cell.source = (SOLUTIONS / key / f"{number}.py").read_text()
        elif kind == "predict":
            predictions = json.loads((SOLUTIONS / key / "predictions.json").read_text())
            cell.source = f'labrt.predict("{identity}", "{predictions[identity]}")'
    return notebook


def tag_of(cell: NotebookNode) -> tuple[str, str]:
    """Return a cell's tag: ("exercise" or "predict" or "check", id), or ("", "")."""
    for tag in cell.metadata.get("tags", []):
        kind, _, identity = tag.partition(":")
        return kind, identity
    return "", ""


def tagged(notebook: NotebookNode, kind: str) -> dict[str, str]:
    """Return what the cells of a kind answer: id → text. What a program of the cell before still
    prints then isn't theirs."""
    return {tag_of(cell)[1]: answer_of(cell) for cell in notebook.cells if tag_of(cell)[0] == kind}


def answer_of(cell: NotebookNode) -> str:
    """Return what a code cell's last expression shows, as plain text."""
    return "\n".join(out.data["text/plain"] for out in cell.outputs if "data" in out)


def text_of(cell: NotebookNode) -> str:
    """Return all that a code cell's outputs show, as plain text."""
    parts = [out.get("text") or out.get("data", {}).get("text/plain", "") for out in cell.outputs]
    return "\n".join(parts)
