"""What a guest does once it boots: the image's entry point, as in a container of the same digest.

Boots for real, by QEMU alone, with the kernel that ./lab setup fetched; each boot costs some two
seconds under TCG.
"""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import pytest

import labrt
from bench import accelerator, guest
from bench.guest import Root
from bench.observations import read
from bench.plain_qemu import booting
from labrt import launching, paths
from labrt.images import base, making
from labrt.images.store import Image

DEADLINE = 90.0  # seconds for one boot on a busy host
MIB = 1 << 20
ROOTS: tuple[Root, ...] = ("disk", "initramfs")

PASSWD = b"root:x:0:0:root:/root:/bin/sh\nweb:x:33:34::/srv/web:/bin/sh\n"
GROUP = b"root:x:0:\nstaff:x:50:web\nadm:x:4:root,web\n"

SCRIPT = """
id -u; id -g; id -G; pwd; env | sort
echo "$0" "$1"
stat -c '%n %u:%g %a' /srv /srv/program
echo note >/tmp/note && cat /tmp/note
test -c /dev/pts/ptmx -a -d /proc/self -a -d /sys/class && touch /dev/shm/x && echo mounted
unshare -U true && echo a user namespace
echo again >/dev/stdout
"""
CONFIG = {
    "Entrypoint": ["/bin/sh", "-c", SCRIPT, "it's", "a b"],
    "Env": ["PATH=/bin", "WITH=a 'quoted' $value", "EMPTY="],
    "User": "web",
    "WorkingDir": "/work/not there yet",
}


@pytest.fixture(scope="module", autouse=True)
def home() -> Iterator[Path]:
    """A LAB_HOME for these tests, with the kernel that set-up has fetched."""
    before = {name: os.environ.get(name) for name in ("LAB_HOME", "LAB_RUN")}
    kernels = paths.home() / "kernels"
    with tempfile.TemporaryDirectory(prefix="lab-", ignore_cleanup_errors=True) as folder:
        place = Path(folder) / "home"
        place.mkdir()
        (place / "kernels").symlink_to(kernels)
        os.environ |= {"LAB_HOME": str(place), "LAB_RUN": str(Path(folder) / "run")}
        launching.close_launcher()  # one that was started for another home
        yield place
        launching.close_launcher()
        launching.close_shared()
    for name, value in before.items():
        os.environ.pop(name) if value is None else os.environ.update({name: value})


def image(config: dict[str, Any], **files: bytes) -> Image:
    """busybox with a layer of these files ("_" in a name stands for "/") of 33:34 on top."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(name.replace("_", "/"))
            member.size, member.mode, member.uid, member.gid = len(data), 0o755, 33, 34
            archive.addfile(member, io.BytesIO(data))
    upper = making.layer(lambda stream: stream.write(buffer.getvalue()))
    lower = making.layers(base.ensure("busybox"))
    return making.image("it", [*lower, upper], {"config": config})


def run(made: Image, root: Root, memory: int = 256 * MIB, command: tuple[str, ...] = ()) -> str:
    """Boot an image until it ends by itself; return what its entry point printed."""
    said, evidence = run_and_look(made, root, memory, command)
    assert said.startswith("lab:init\n"), evidence
    return said.removeprefix("lab:init\n")


def run_and_look(
    made: Image, root: Root, memory: int, command: tuple[str, ...] = ()
) -> tuple[str, str]:
    """Return what both serial ports have to tell, too."""
    built = guest.build(made, root=root)
    with booting(built, accelerator.verdict().accelerator, memory, command) as it:
        it.ports.accept(DEADLINE)
        it.ports.marks.wait_end(DEADLINE)
        return it.ports.marks.tail.replace("\r\n", "\n"), it.ports.evidence()


@pytest.mark.timeout(300)
@pytest.mark.parametrize("root", ROOTS)
def test_the_entry_point_finds_what_it_finds_in_a_container(root: Root) -> None:
    made = image(CONFIG, etc_passwd=PASSWD, etc_group=GROUP, srv_program=b"")
    said = run(made, root)
    lines = said.splitlines()
    assert lines[:2] == ["33", "34"]
    assert set(lines[2].split()) == {"34", "50", "4"}
    assert lines[3] == "/work/not there yet"
    assert {"HOME=/srv/web", "WITH=a 'quoted' $value", "EMPTY="} <= set(lines)
    assert lines[-7:] == [
        "it's a b",
        "/srv 0:0 755",
        "/srv/program 33:34 755",
        "note",
        "mounted",
        "a user namespace",
        "again",
    ]
    if os.geteuid() == 0:
        in_container = labrt.output("it", []).splitlines()
        assert in_container[:-2] == lines[:-2]  # the last two are what it may not do


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("root", ROOTS)
def test_root_keeps_its_groups_and_a_number_needs_no_name(root: Root) -> None:
    command = {"Cmd": ["/bin/sh", "-c", "id -u; id -G; echo $HOME"], "Env": ["PATH=/bin"]}
    assert run(image(command, etc_passwd=PASSWD, etc_group=GROUP), root) == "0\n0 4\n/root\n"
    other = image({**command, "User": "1234:50"}, etc_passwd=PASSWD, etc_group=GROUP)
    assert run(other, root) == "1234\n50\n/\n"


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_an_image_larger_than_the_guests_ram_boots_from_a_disk_and_is_not_in_it() -> None:
    """Half of it is read back in the guest, so it isn't just left out."""
    large = os.urandom(160 * MIB)
    script = f"head -c {80 * MIB} /large | sha256sum | cut -c 1-64; cat /lab/ready | wc -l"
    made = image({"Cmd": ["/bin/sh", "-c", script], "Env": ["PATH=/bin"]}, large=large)
    digest, count = run(made, "disk", memory=128 * MIB).split()
    assert digest == hashlib.sha256(large[: 80 * MIB]).hexdigest()
    assert int(count) > 0


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_an_image_that_does_not_fit_into_ram_is_not_run_by_halves() -> None:
    made = image({"Cmd": ["/bin/echo", "whole"], "Env": ["PATH=/bin"]}, large=os.urandom(160 * MIB))
    said, evidence = run_and_look(made, "initramfs", 448 * MIB)
    assert "whole" not in said
    assert "doesn't fit into this machine's RAM" in evidence


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_debian_boots_from_a_disk_in_256_mib(tmp_path: Path) -> None:
    archive = tmp_path / "debian.tar"
    made = subprocess.run(
        ["mmdebstrap", "--variant=minbase", "bookworm", archive], capture_output=True, text=True
    )
    if made.returncode != 0:
        pytest.skip(f"mmdebstrap can't fetch Debian here: {made.stderr[-200:]}")

    def copy(stream: IO[bytes]) -> None:
        with archive.open("rb") as source:
            shutil.copyfileobj(source, stream)

    command = ["/bin/sh", "-c", "cat /etc/debian_version; dpkg -l | grep -c ^ii; df / | tail -n 1"]
    image = making.image("debian", [making.layer(copy)], {"config": {"Cmd": command}})
    version, packages, root = run(image, "disk").splitlines()
    assert version.startswith("12.")
    assert int(packages) > 50
    assert root.startswith("overlay")


@pytest.mark.timeout(300)
def test_words_given_at_the_start_replace_cmd() -> None:
    made = image({"Entrypoint": ["/bin/echo", "it said"], "Cmd": ["what the image says"]})
    assert run(made, "initramfs") == "it said what the image says\n"
    assert run(made, "initramfs", command=("a=1", "--b", "c  d=$e;'f'", "")) == (
        "it said a=1 --b c  d=$e;'f' \n"
    )


@pytest.mark.timeout(300)
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root: others' QEMU runs as themselves")
def test_whatever_the_umask_qemus_user_reaches_what_is_for_it(tmp_path: Path) -> None:
    base.ensure("busybox")
    with tempfile.TemporaryDirectory(prefix="lab-") as folder:
        Path(folder).chmod(0o711)
        done = subprocess.run(
            [
                *(sys.executable, "-m", "bench", "startup"),
                "--subjects=vm",
                "--n=1",
                f"--out={tmp_path}",
            ],
            env={**os.environ, "LAB_RUN": f"{folder}/run"},
            umask=0o077,
            capture_output=True,
            text=True,
            timeout=DEADLINE,
        )
    assert done.returncode == 0, done.stderr
    rows, _damage = read(tmp_path / "latest/observations.jsonl")
    assert {row.status for row in rows} == {"ok"}
