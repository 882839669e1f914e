"""labrt/mounts.py, devices.py: the kernel's file systems, what of them is hidden or read-only."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import labrt
from labrt import client, container, removal, state
from labrt.declare import declare
from labrt.images import store
from labrt.mount_points import is_literal
from labrt.mounts import MASKED_PATHS, READONLY_PATHS
from labrt.options import given
from labrt.spec import Life, Mount, Process, Root, Spec
from tests.labrt.conftest import needs_root
from tests.labrt.test_cli import environment

pytestmark = pytest.mark.usefixtures("nothing_left")


def said(script: str, changes: dict[str, Any] | None = None, **options: Any) -> str:
    """Run a shell script in a container whose spec is changed; return what it wrote."""
    spec = replace(
        declare(store.resolve("busybox"), ["sh", "-c", script], given(**options)), **changes or {}
    )
    reader, writer = os.pipe()
    with open(os.devnull, "rb") as null, os.fdopen(reader) as told:
        try:
            running = client.Container(spec, (null.fileno(), writer, writer))
        finally:
            os.close(writer)
        with running:
            text = told.read()
            running.wait(30)
            return text.strip()


def mounts(**options: Any) -> dict[str, list[str]]:
    """Return mount point → fields of proc_pid_mountinfo(5), the last mount of each."""
    lines = labrt.output("busybox", ["cat", "/proc/self/mountinfo"], **options).splitlines()
    return {line.split()[4]: line.split() for line in lines}


def test_the_kernels_file_systems_are_all_there() -> None:
    kinds = {point: fields[fields.index("-") + 1] for point, fields in mounts().items()}
    expected = {
        "/": "overlay",
        "/proc": "proc",
        "/sys": "sysfs",
        "/dev": "tmpfs",
        "/dev/pts": "devpts",
        "/dev/shm": "tmpfs",
        "/dev/mqueue": "mqueue",
    }
    assert expected.items() <= kinds.items()


def test_only_dev_nodes_work_as_devices_and_nothing_is_setuid_but_on_the_root() -> None:
    for point, fields in mounts().items():
        flags = set(fields[5].split(","))
        if point not in ("/", "/dev") and not point.startswith(("/dev/", "/proc/")):
            assert {"nosuid", "nodev"} <= flags, point


def test_dev_has_what_programs_expect() -> None:
    nodes = "for n in null zero full random urandom tty ptmx; do test -c /dev/$n || echo $n; done"
    links = "for n in fd stdin stdout stderr; do test -e /dev/$n || echo $n; done"
    assert said(f"{nodes}; {links}; test -d /dev/pts; echo all") == "all"


def test_a_terminal_is_the_console_too() -> None:
    script = (
        "import os; from labrt import container; from labrt.declare import declare;"
        "from labrt.images import store;"
        "args = ['sh', '-c', 'test -c /dev/console && echo seen >/dev/console'];"
        "c = container.start(declare(store.resolve('busybox'), args, tty=True));"
        "print(os.read(c.master, 100)); c.finish()"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        env=environment(),
        timeout=60,
    )
    assert done.stdout == "b'seen\\r\\n'\n", done.stderr


# Masked and read-only paths.


def test_what_is_masked_is_empty_be_it_a_file_or_a_folder() -> None:
    script = "; ".join(f"cat {p} 2>/dev/null; ls -A {p} 2>/dev/null" for p in MASKED_PATHS)
    shown = set(said(script).split())
    assert shown <= set(MASKED_PATHS)  # `ls` of a file names it
    assert shown, "this kernel has none of them"


def test_what_is_read_only_is_so_also_for_its_owner() -> None:
    points = mounts()
    for path in READONLY_PATHS:
        if os.path.exists(path):
            assert "ro" in points[path][5].split(","), path
    assert "Read-only" in said("hostname other; echo x >/proc/sys/kernel/domainname")


def test_only_the_true_null_device_masks(tmp_path: Path) -> None:
    """CVE-2025-31133: a /dev of the user's, whose null is a link to what should be hidden."""
    for name in ("pts", "shm", "mqueue"):
        (tmp_path / name).mkdir()
    (tmp_path / "null").symlink_to("/proc/sys/kernel/core_pattern")
    tmp_path.chmod(0o755)
    with pytest.raises(labrt.LabError, match="hide files under /dev/null: it is something else"):
        said("true", volume=[f"{tmp_path}:/dev"])


def test_privileged_lifts_both() -> None:
    points = mounts(privileged=True)
    assert not set(points) & {*MASKED_PATHS, *READONLY_PATHS}


def test_a_path_that_this_kernel_lacks_can_be_masked_and_made_read_only() -> None:
    changes = {"masked_paths": ("/proc/no/such",), "readonly_paths": ("/proc/no/such",)}
    assert said("echo up", changes) == "up"


# The root.


def test_a_read_only_root_has_a_writable_dev_and_tmpfs() -> None:
    script = "touch /x /tmp/x; touch /scratch/x && touch /dev/shm/x && echo written"
    text = said(script, read_only=True, tmpfs=["/scratch"])
    assert text.count("Read-only file system") == 2
    assert text.endswith("written")


@pytest.mark.parametrize(("asked", "seen"), [("private", ""), ("slave", ""), ("shared", "shared:")])
def test_the_roots_propagation_is_as_declared(asked: str, seen: str) -> None:
    line = said("grep ' / / ' /proc/self/mountinfo", {"rootfs_propagation": asked})
    assert ("shared:" in line) == (seen == "shared:")


@needs_root
def test_a_mount_in_the_container_stays_there() -> None:
    script = "mkdir /m; mount -t tmpfs marked-by-a-test /m; grep -c marked-by-a-test /proc/mounts"
    changes = {"rootfs_propagation": "shared"}
    assert said(script, changes, privileged=True) == "1"
    assert "marked-by-a-test" not in Path("/proc/self/mountinfo").read_text()


def test_what_is_kept_can_be_started_again() -> None:
    """overlayfs refuses the upper layer of a volatile mount a second time."""
    spec = declare(store.resolve("busybox"), ["sh", "-c", "echo x >>/f; wc -l </f"], detach=True)
    script = (
        "import sys; from pathlib import Path; from labrt import container;"
        f"c = container.start_created(Path({spec.state_dir!r})); c.wait(); c.finish()"
    )
    container.create(spec)
    try:
        lines = [
            subprocess.run(
                [sys.executable, "-c", script],
                capture_output=True,
                text=True,
                env=environment(),
                timeout=60,
            ).stdout
            for _ in range(2)
        ]
    finally:
        removal.remove(state.find(spec.id))
    assert lines == ["1\n", "2\n"]


# Links in the image, where something is to be mounted.


@pytest.fixture
def image_with(home: Path) -> Iterator[Any]:
    """A layer on top of the image, with one link."""
    folder = home / "linked"
    folder.mkdir()
    folder.chmod(0o755)

    def with_link(target: str) -> dict[str, Any]:
        (folder / "data").symlink_to(target)
        root = declare(store.resolve("busybox"), ["true"]).root
        return {"root": replace(root, layers=(*root.layers, str(folder)))}

    yield with_link
    (folder / "data").unlink()
    folder.rmdir()


@pytest.mark.parametrize("option", [{"tmpfs": ["/data/sub"]}, {"volume": ["/data/sub"]}])
def test_a_link_of_the_image_is_followed_inside(image_with: Any, option: dict[str, Any]) -> None:
    changes = image_with("/../../usr")
    assert " /usr/sub " in said("cat /proc/self/mountinfo", changes, **option)


@pytest.mark.parametrize("option", [{"tmpfs": ["/data/made"]}, {"volume": ["/etc:/data/made"]}])
def test_a_link_past_the_root_makes_nothing_on_the_host(
    image_with: Any, option: dict[str, Any]
) -> None:
    """While the host's tree is mounted over "/", as pivot_root(2) leaves it, "/.." leads there."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o777)
        with pytest.raises(labrt.LabError, match="a link there that leads nowhere"):
            said("true", image_with(f"/../..{folder}"), **option)
        assert os.listdir(folder) == []


@pytest.mark.parametrize("option", [{"tmpfs": ["/data"]}, {"volume": ["/etc:/data"]}])
@pytest.mark.parametrize(
    ("target", "answer"),
    [
        ("/proc/self/attr", "a link there to /proc/1/attr"),
        ("/sys/kernel", "a link there to /sys/kernel"),
        ("/dev/shm", "a link there to /dev/shm"),
        ("/..", "a link there to /"),
        ("/proc/self/cwd", "must not be followed"),
        ("/proc/self/fd/5/tmp", "must not be followed"),
        ("/no/such", "a link there that leads nowhere"),
        ("data", "must not be followed"),
    ],
)
def test_a_link_of_the_image_to_where_it_may_not_lead_is_refused(
    image_with: Any, option: dict[str, Any], target: str, answer: str
) -> None:
    with pytest.raises(labrt.LabError, match=answer):
        said("true", image_with(target), **option)


# Where a mount point will be, known before the container is there.


def of_layer(layer: Path, *others: str) -> Spec:
    (layer.parent / "state" / "upper").mkdir(parents=True, exist_ok=True)
    root, life, process = Root((str(layer),)), Life("one"), Process(("true",))
    mounts = tuple(Mount(place, "tmpfs", "tmpfs", ()) for place in others)
    return Spec("one", "", str(layer.parent / "state"), "", process, root, life, mounts=mounts)


@pytest.fixture
def layer(tmp_path: Path) -> Path:
    (tmp_path / "layer" / "var").mkdir(parents=True)
    (tmp_path / "layer" / "var" / "run").symlink_to("/run")
    return tmp_path / "layer"


@pytest.mark.parametrize("place", ["/data", "/var", "/var/new/place", "/proc/anything"])
def test_a_place_without_a_link_on_the_way_is_what_its_path_says(layer: Path, place: str) -> None:
    assert is_literal(of_layer(layer, place), place)


@pytest.mark.parametrize("place", ["/", "/var/run", "/var/run/below"])
def test_a_place_behind_a_link_is_found_out_in_the_container(layer: Path, place: str) -> None:
    assert not is_literal(of_layer(layer, place), place)


def test_a_place_on_another_mount_is_found_out_in_the_container(layer: Path) -> None:
    assert not is_literal(of_layer(layer, "/var", "/var/lib"), "/var/lib")
    assert is_literal(of_layer(layer, "/variable", "/var/lib"), "/var/lib")


def test_a_link_that_the_container_has_made_is_found_out_there(layer: Path) -> None:
    spec = of_layer(layer, "/data")
    Path(spec.state_dir, "upper", "data").symlink_to("/var")
    assert not is_literal(spec, "/data")


def test_a_bundles_root_is_looked_at_as_a_layer_is(layer: Path) -> None:
    spec = replace(of_layer(layer, "/data"), root=Root(path=str(layer)))
    assert is_literal(spec, "/data")
    assert not is_literal(spec, "/var/run/below")
