"""What a container sees is the same under the lab's runtime and under runc, bundle by bundle; where
it isn't, the difference stands in docs/oci.md with its reason.

A difference that isn't listed fails, and so does a listed one that no bundle shows any more.
"""

from __future__ import annotations

import ctypes
import json
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from labrt import cgroups, hierarchies
from tests.labrt.bundle.bundles import PROGRAM, fill_root
from tests.labrt.bundle.cases import CASES, Case, filled
from tests.labrt.bundle.differences import DIFFERENCES, runc_version, same
from tests.labrt.conftest import needs_root

ROOT = Path(__file__).parents[3]
SECONDS = 60

pytestmark = [
    needs_root,
    pytest.mark.skipif(cgroups.layout().kind == "v2", reason="runc's older cgroups are compared"),
    pytest.mark.skipif(
        runc_version()[:2] not in ((), (1, 1)),
        reason=f"the differences are listed for runc 1.1, and this is {runc_version()}",
    ),
]


class Seen(NamedTuple):
    """What came of a bundle.

    Attributes:
        status: of the runtime's command.
        sections: what the probe told, by section, "" for what came before; with what hooks wrote.
    """

    status: int
    sections: dict[str, list[str]]
    told: str


@pytest.fixture(scope="module")
def bundle() -> Iterator[Path]:
    """A bundle without its config.json, where other users may walk."""
    with tempfile.TemporaryDirectory(prefix="bundle-") as named:
        folder = Path(named)
        folder.chmod(0o755)
        fill(folder)
        yield folder
    for parent in Path("/sys/fs/cgroup").glob("*/labrt-compared"):
        parent.rmdir()  # what was above a container's cgroup stays, with either runtime


def fill(folder: Path) -> None:
    """Make the root file system, and what else bundles speak of."""
    root = folder / "rootfs"
    fill_root(root)
    (root / "sticky").mkdir()
    (root / "sticky").chmod(0o1777)
    shutil.copy(Path(__file__).with_name("probe.sh"), root / "probe")
    (folder / "beside").mkdir()
    (folder / "beside/file").write_text("of the bundle\n")


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of the host's that bundles speak of."""
    folder = tmp_path_factory.mktemp("host")
    (folder / "data").mkdir()
    (folder / "data/file").write_text("of the host\n")
    (folder / "ipc").touch()
    with subprocess.Popen(["unshare", "--ipc", "sleep", "1000"]) as sleeper:
        while "sleep" not in Path(f"/proc/{sleeper.pid}/cmdline").read_text():
            pass
        libc = ctypes.CDLL(None, use_errno=True)
        source = f"/proc/{sleeper.pid}/ns/ipc".encode()
        assert libc.mount(source, bytes(folder / "ipc"), None, 4096, None) == 0
        yield folder
        assert libc.umount2(bytes(folder / "ipc"), 2) == 0
        sleeper.kill()


def run(command: list[str], bundle: Path, config: object, name: str, hooks: Path) -> Seen:
    (bundle / "config.json").write_text(json.dumps(config))
    done = subprocess.run(
        [*command, "run", "--bundle", str(bundle), name],
        capture_output=True,
        text=True,
        timeout=SECONDS,
        cwd=bundle,
        stdin=subprocess.DEVNULL,
    )
    sections = split(done.stdout)
    if hooks.exists():
        sections["hooks"] = hooks.read_text().splitlines()
        hooks.unlink()
    subprocess.run([*command, "delete", "--force", name], capture_output=True, cwd=bundle)
    for made in ("made", "new", "node"):
        shutil.rmtree(bundle / "rootfs" / made, ignore_errors=True)
    return Seen(done.returncode, sections, done.stderr)


def split(text: str) -> dict[str, list[str]]:
    sections: dict[str, list[str]] = {"": []}
    for line in text.splitlines():
        if line.startswith("== "):
            sections[line[3:]] = []
        else:
            sections[list(sections)[-1]].append(plain(line))
    return sections


def plain(line: str) -> str:
    """Leave out what differs from run to run."""
    line = re.sub(r"\b(master|shared):\d+", r"\1", line)
    line = re.sub(r"(/[^\s:]*)?/[\w-]*compared[\w-]*", "/CGROUP", line)
    ours = {os.readlink(f"/proc/self/ns/{name}") for name in os.listdir("/proc/self/ns")}
    return re.sub(r"(\w+):\[\d+\]", lambda m: m[0] if m[0] in ours else f"{m[1]}:[own]", line)


class Shown:
    """Which bundles were compared, and which differences were seen."""

    def __init__(self) -> None:
        self.cases: set[str] = set()
        self.differences: set[str] = set()


@pytest.fixture(scope="module")
def shown() -> Shown:
    return Shown()


def labrt(folder: Path) -> list[str]:
    return [str(PROGRAM), "--root", str(folder / "labrt")]


def runc(folder: Path) -> list[str]:
    return ["runc", "--root", str(folder / "runc")]


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(case, id=case.name, marks=[pytest.mark.slow] if case.slow else [])
        for case in CASES
    ],
)
def test_a_container_sees_the_same(
    case: Case, bundle: Path, host: Path, tmp_path: Path, shown: Shown
) -> None:
    name = f"compared-{case.name}"
    config = filled(json.loads(json.dumps(case.config(str(host))).replace("{NAME}", name)), "")
    hooks = host / f"hooks.{name}"
    (bundle / "rootfs/ipc").write_text(os.readlink("/proc/self/ns/ipc"))
    theirs = run(runc(tmp_path), bundle, config, name, hooks)
    ours = run(labrt(tmp_path), bundle, config, name, hooks)
    told = f"runc: {theirs.told}\nlabrt: {ours.told}"
    seen, unlisted = same(case.name, theirs, ours)
    shown.cases.add(case.name)
    shown.differences |= seen
    assert not unlisted, "\n".join(unlisted) + "\n\n" + told
    left = [folder for folder in left_of(name) if Path(folder).exists()]
    assert left == []


def left_of(name: str) -> list[str]:
    names = [f"{cgroups.top()}/{name}", f"labrt-compared/{name}"]
    folders = [str(base / each) for base in cgroups.layout().folders for each in names]
    return folders + [folder for each in names for folder in hierarchies.others(each)]


def test_every_listed_difference_is_still_one(shown: Shown) -> None:
    could = [
        each for each in DIFFERENCES if any(re.fullmatch(each.cases, case) for case in shown.cases)
    ]
    assert {each.name for each in could} - shown.differences == set()


def test_every_listed_difference_has_its_reason_in_the_docs() -> None:
    text = (ROOT / "docs/oci.md").read_text()
    assert [each.name for each in DIFFERENCES if f"| {each.name} |" not in text] == []
