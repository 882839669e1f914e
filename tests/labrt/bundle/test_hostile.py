"""Bundles that mean harm: links in their root, paths that lead elsewhere, others' cgroups.

The root file system is an image's, and so a stranger's; config.json is the engine's, which may have
copied into it what a stranger chose.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from labrt import cgroups, hierarchies
from labrt.cgroup_layout import every_base
from tests.labrt.bundle.bundles import Bundles
from tests.labrt.bundle.cases import BASE, bind, linux, mount, process
from tests.labrt.conftest import needs_cgroups, needs_root

pytestmark = needs_root

OUT = "../../../../../../../../../../"


@contextmanager
def link(bundles: Bundles, name: str, target: str) -> Iterator[Path]:
    """Have a link in the root file system in place of a folder."""
    place = bundles.root / name
    kept = place.with_name(f".{place.name}")
    if place.exists():
        place.rename(kept)
    place.symlink_to(target)
    try:
        yield place
    finally:
        place.unlink()
        if kept.exists():
            kept.rename(place)


@pytest.fixture
def precious(tmp_path: Path) -> Path:
    """A folder of the host's that nothing may be mounted on or made in."""
    folder = tmp_path / "precious"
    folder.mkdir()
    (folder / "file").write_text("the host's\n")
    return folder


@pytest.mark.parametrize("name", ["proc", "dev", "sys"])
def test_a_link_where_the_kernels_own_file_systems_go(
    bundles: Bundles, precious: Path, name: str
) -> None:
    for target in ("home", f"{OUT}{precious}", str(precious), "/home", "nowhere"):
        with link(bundles, name, target):
            assert f"mount on /{name}" in bundles.refused(run="true")
    assert os.listdir(precious) == ["file"]


@pytest.mark.parametrize("target", ["{precious}", "/../../..{precious}", f"{OUT}{{precious}}"])
def test_a_link_in_a_mount_point_leads_to_the_containers_own(
    bundles: Bundles, precious: Path, target: str
) -> None:
    """An absolute link, or one with too many "..", ends in the container's root."""
    inside = bundles.root / str(precious).lstrip("/")
    inside.mkdir(parents=True)
    try:
        with link(bundles, "mnt", target.format(precious=precious)):
            mounted = {"mounts": [*BASE["mounts"], mount("/mnt/below")]}
            done = bundles.outcome(mounted, {"root": {"readonly": False}}, run="ls /mnt/")
            assert done.stdout == "below\n", done.stderr
    finally:
        shutil.rmtree(bundles.root / str(precious).split("/")[1], ignore_errors=True)
        (bundles.root / "tmp").mkdir(exist_ok=True)
    assert os.listdir(precious) == ["file"]


def test_a_link_to_nowhere_is_named(bundles: Bundles) -> None:
    with link(bundles, "mnt", "/nowhere"):
        told = bundles.refused({"mounts": [*BASE["mounts"], mount("/mnt")]}, run="true")
    assert "mount on /mnt: the image has a link there that leads nowhere" in told


@pytest.mark.parametrize("target", ["/proc/self/root", "/proc/1/cwd", "/proc/self/fd/3", "/dev"])
def test_a_link_into_the_kernels_own_file_systems(bundles: Bundles, target: str) -> None:
    with link(bundles, "mnt", target):
        told = bundles.refused({"mounts": [*BASE["mounts"], mount("/mnt")]}, run="true")
    assert "mount on /mnt: the image has a link there" in told


def test_a_device_by_way_of_a_link_is_not_made_on_the_host(
    bundles: Bundles, precious: Path
) -> None:
    node = {"path": "/mnt/node", "type": "c", "major": 1, "minor": 3}
    with link(bundles, "mnt", str(precious)):
        bundles.outcome(linux(devices=[node]), {"root": {"readonly": False}}, run="true")
    shutil.rmtree(bundles.root / str(precious).split("/")[1] / "pytest-of-root", ignore_errors=True)
    assert os.listdir(precious) == ["file"]


def test_something_else_in_the_place_of_a_device(bundles: Bundles) -> None:
    nodev = {"mounts": BASE["mounts"][:1]}
    (bundles.root / "dev/null").write_text("no device\n")
    try:
        told = bundles.refused(nodev, run="true")
    finally:
        shutil.rmtree(bundles.root / "dev")
        (bundles.root / "dev").mkdir()
    assert "make the device /dev/null: there is something else than c 1:3" in told


def test_a_working_folder_that_leads_out(bundles: Bundles) -> None:
    """CVE-2024-21626: a descriptor of the host's that is still open."""
    for number in range(3, 16):
        done = bundles.outcome(process(cwd=f"/proc/self/fd/{number}"), run="ls /proc/self/cwd/etc")
        assert done.returncode != 0, done.stdout


def test_the_program_that_made_the_container_cant_be_had(bundles: Bundles) -> None:
    """CVE-2019-5736: /proc/self/exe is executed, or a script's interpreter."""
    script = bundles.root / "bin/again"
    script.write_text("#!/proc/self/exe\n")
    script.chmod(0o755)
    for args in (["/proc/self/exe", "-c", "print(open('/proc/self/exe', 'r+'))"], ["again"]):
        done = bundles.outcome(process(args=args))
        assert "<_io" not in done.stdout


def test_a_volume_that_another_container_changes_meanwhile(
    bundles: Bundles, precious: Path
) -> None:
    """A link in a bound folder is resolved in the container, too."""
    (precious / "link").symlink_to(OUT + str(precious))
    both = {"mounts": [*BASE["mounts"], bind("/mnt", str(precious)), mount("/mnt/link")]}
    before = Path("/proc/self/mountinfo").read_text()
    bundles.outcome(both, run="true")
    assert Path("/proc/self/mountinfo").read_text() == before


@needs_cgroups
def test_anothers_cgroup_is_left_alone(bundles: Bundles) -> None:
    name = f"{cgroups.top()}/others-{os.getpid()}"
    other = cgroups.Cgroup.create(name)
    with subprocess.Popen(["sleep", "1000"]) as sleeper:
        try:
            other.add(sleeper.pid)
            told = bundles.refused(linux(cgroupsPath=f"/{name}"), run="true")
            assert "is there already" in told
            assert sleeper.poll() is None
            assert other.processes() == [sleeper.pid]
        finally:
            sleeper.kill()
            sleeper.wait()
            other.remove()


@needs_cgroups
def test_a_cgroup_in_another_hierarchy_is_left_alone_too(bundles: Bundles) -> None:
    name = f"{cgroups.top()}/others-{os.getpid()}"
    for folder in hierarchies.others(name)[:1]:
        os.makedirs(folder)
        try:
            assert "is there already" in bundles.refused(linux(cgroupsPath=f"/{name}"), run="true")
            assert os.path.isdir(folder)
        finally:
            os.rmdir(folder)


@needs_cgroups
def test_the_labs_own_cgroup_goes_with_its_last_container(bundles: Bundles) -> None:
    """In every hierarchy, those included that the lab has no other use for."""
    bundles.run(run="true")
    own = f"{cgroups.TOP}-{zlib.crc32(os.fsencode(bundles.folder / 'state')):08x}"
    assert [str(base / own) for base in every_base() if (base / own).exists()] == []


@needs_cgroups
def test_only_what_create_made_is_deleted(bundles: Bundles) -> None:
    """The cgroup above is an engine's, and stays."""
    parent = f"{cgroups.top()}-engine-{os.getpid()}"
    bundles.run(linux(cgroupsPath=f"/{parent}/{bundles.name}"), run="true")
    folders = [base / parent for base in cgroups.layout().folders]
    folders += [Path(folder) for folder in hierarchies.others(parent)]
    try:
        assert all(folder.is_dir() and not (folder / bundles.name).exists() for folder in folders)
    finally:
        for folder in folders:
            folder.rmdir()


@pytest.mark.parametrize(
    "change",
    [
        process(args=["sh", "x" * 3_000_000]),
        process(env=[f"A{n}={'x' * 100_000}" for n in range(30)]),
        {"mounts": [*BASE["mounts"], mount("/mnt" + "/x" * 5000)]},
        {"mounts": [*BASE["mounts"], mount("/mnt/" + "x" * 5000)]},
        {"mounts": [*BASE["mounts"], mount("/mnt", "tmpfs", "tmpfs", "x" * 5000)]},
        process(cwd="/" + "x" * 5000),
        linux(maskedPaths=["/" + "x" * 5000]),
        {"hostname": "a\nb" * 20},
    ],
    ids=["args", "env", "deep", "long", "options", "cwd", "masked", "hostname"],
)
def test_what_no_kernel_takes_is_told_in_one_line(bundles: Bundles, change: dict[str, Any]) -> None:
    done = bundles.outcome({"root": {"readonly": False}}, change, run="")
    assert done.returncode != 0
    assert "Traceback" not in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    shutil.rmtree(bundles.root / "mnt", ignore_errors=True)
    (bundles.root / "mnt").mkdir()


def test_many_mounts_are_many_mounts(bundles: Bundles) -> None:
    many = [mount(f"/mnt/{n}", "tmpfs", "tmpfs", "size=4k") for n in range(100)]
    out = bundles.run(
        {"mounts": [*BASE["mounts"], *many], "root": {"readonly": False}},
        run="grep -c ' /mnt/' /proc/self/mountinfo",
    )
    assert out == "100\n"
