"""labrt/images/unpacking.py: what a layer holds is what is on disk, or nothing is."""

from __future__ import annotations

import gzip
import json
import os
import re
import stat
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import pytest
import zstandard

from labrt.images import layers, store, unpacking
from labrt.users import ROOT_ID_BASE
from tests.labrt.conftest import needs_root
from tests.labrt.images import archives
from tests.labrt.images.archives import END, Blob, folder, hard_link, link, member, pax

T = TypeVar("T")
ROOT = Path(__file__).parent.parent.parent.parent
CAP_NET_RAW = struct.pack("<5I", 0x02000001, 1 << 13, 0, 0, 0)  # capabilities(7), vfs_cap_data
EVERYTHING = b"".join(
    [
        folder(b"d/", mode=b"0001777", mtime=b"%011o" % 100),
        member(b"d/setuid", data=b"program", mode=b"0004755", uid=b"7", mtime=b"%011o" % 200),
        pax({b"SCHILY.xattr.user.a": b"\0\n", b"SCHILY.xattr.trusted.a": b"1"}),
        member(b"d/marked", mode=b"0000400", gid=b"10"),
        pax({b"SCHILY.xattr.security.capability": CAP_NET_RAW}),
        member(b"d/capable", data=b"program"),
        hard_link(b"other", b"./d/setuid"),
        link(b"d/link", b"../../outside"),
        member(b"d/pipe", b"6", mode=b"0000620"),
        member(b"d/\xff\xfe", data=b"bytes"),
        folder(b"closed", mode=b"0000000", uid=b"7"),
        member(b"closed/inside"),
        folder(b"setgid", mode=b"0002755", gid=b"10"),
        member(b"setgid/inside"),
        folder(b"dev"),
        member(b"dev/null", b"3"),
        member(b"dev/below/sda", b"4"),
        member(b"dev/shown", data=b"kept"),
    ]
)


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAB_HOME", str(tmp_path / "home"))


@pytest.fixture
def everything() -> Path:
    (unpacked,) = layers.unpacked(archives.image(EVERYTHING))
    return unpacked


def mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


def test_modes_with_their_special_bits(everything: Path) -> None:
    names = ("d", "d/setuid", "d/marked", "d/pipe", "closed", "setgid")
    assert [mode(everything / name) for name in names] == [
        0o1777, 0o4755, 0o400, 0o620, 0, 0o2755,
    ]  # fmt: skip


def test_times_also_of_folders_that_were_filled_later(everything: Path) -> None:
    assert (everything / "d").stat().st_mtime == 100
    assert (everything / "d" / "setuid").stat().st_mtime == 200
    assert (everything / "d" / "link").lstat().st_mtime == 0


def test_links_are_kept_as_they_are(everything: Path) -> None:
    assert (everything / "d" / "link").readlink() == Path("../../outside")
    assert (everything / "other").samefile(everything / "d" / "setuid")
    assert stat.S_ISFIFO((everything / "d" / "pipe").lstat().st_mode)


def test_a_name_is_bytes(everything: Path) -> None:
    assert Path(os.fsdecode(os.fsencode(everything) + b"/d/\xff\xfe")).read_bytes() == b"bytes"


def test_device_nodes_below_dev_are_left_out(everything: Path) -> None:
    assert [path.name for path in (everything / "dev").iterdir()] == ["shown"]


@needs_root
def test_xattrs_of_users_are_kept_and_others_dropped(everything: Path) -> None:
    assert os.listxattr(everything / "d" / "marked") == ["user.a"]
    assert os.getxattr(everything / "d" / "marked", "user.a") == b"\0\n"


@needs_root
def test_a_capability_is_one_in_containers_alone(everything: Path) -> None:
    """On disk it is of version 3, which names the root user of the namespace where it counts."""
    found = os.getxattr(everything / "d" / "capable", "security.capability")
    assert found == struct.pack("<6I", 0x03000001, 1 << 13, 0, 0, 0, ROOT_ID_BASE)


@needs_root
def test_owners_are_shifted_and_folders_do_not_pass_on_their_group(everything: Path) -> None:
    owners = {
        name: (found.st_uid - ROOT_ID_BASE, found.st_gid - ROOT_ID_BASE)
        for name in ("d", "other", "closed", "closed/inside", "setgid", "setgid/inside")
        for found in [(everything / name).lstat()]
    }
    assert owners == {
        "d": (0, 0),
        "other": (7, 0),
        "closed": (7, 0),
        "closed/inside": (0, 0),
        "setgid": (0, 8),
        "setgid/inside": (0, 0),
    }


BLOBS = {
    "tar": Blob(EVERYTHING + END),
    "gzip": Blob(EVERYTHING + END, gzip.compress(EVERYTHING + END), store.LAYER_GZIP),
    "zstd": Blob(EVERYTHING + END, zstandard.compress(EVERYTHING + END), store.LAYER_ZSTD),
}


@pytest.mark.parametrize("kind", BLOBS)
def test_each_compression_gives_the_same_folder(kind: str) -> None:
    (unpacked,) = layers.unpacked(archives.image(BLOBS[kind]))
    assert (unpacked / "d" / "setuid").read_bytes() == b"program"


TWO = """
import json, sys
from pathlib import Path
from labrt.images import unpacking
from labrt.images.store import Descriptor
print("ready", flush=True)
sys.stdin.readline()
blob, diff_id, folder = json.loads(sys.argv[1])
unpacking.unpack(Descriptor(*blob), diff_id, Path(folder))
"""


def test_two_who_unpack_the_same_layer_at_once_both_succeed(tmp_path: Path) -> None:
    many = b"".join(member(b"f%d" % n, data=b"x" * 2000) for n in range(500))
    image = archives.image(many)
    blob, goal = image.layers[0], layers._folder(image.diff_ids[0])
    what = json.dumps([[blob.media_type, blob.digest, blob.size], image.diff_ids[0], str(goal)])
    both = [
        subprocess.Popen(
            [sys.executable, "-c", TWO, what],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        for _ in range(2)
    ]
    for process in both:
        assert process.stdout is not None and process.stdout.readline() == b"ready\n"
    for process in both:
        assert process.stdin is not None
        process.stdin.write(b"\n")
        process.stdin.flush()
    assert [process.communicate(timeout=60)[0] for process in both] == [b"", b""]
    assert [process.returncode for process in both] == [0, 0]
    assert [path.name for path in goal.parent.iterdir()] == [goal.name]
    assert len(list(goal.iterdir())) == 500


def test_a_host_without_user_namespaces_is_told_in_one_line(tmp_path: Path) -> None:
    archives.image(EVERYTHING)
    code = (
        "from labrt.images import layers, store\n"
        "try: layers.unpacked(store.resolve('it'))\n"
        "except Exception as error: print(type(error).__name__, error)\n"
    )
    # In a user namespace of the test's own, none may be made any more.
    script = 'echo 0 >/proc/sys/user/max_user_namespaces; exec "$@"'
    done = subprocess.run(
        [
            "unshare",
            "--map-user=1000",
            "--keep-caps",
            "sh",
            "-c",
            script,
            "sh",
            sys.executable,
            "-c",
            code,
        ],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.stdout.startswith("LabError become root of a user namespace"), done
    assert "ENOSPC" in done.stdout and done.stdout.count("\n") == 1
    assert not list((tmp_path / "home").glob("layers/*"))


@needs_root  # to see the other process's root
def test_killed_it_leaves_no_layer_and_no_process(tmp_path: Path) -> None:
    image = archives.image(Blob(member(b"a") + END))
    blob, goal = image.layers[0], layers._folder(image.diff_ids[0])
    store.blob_path(blob.digest).unlink()
    os.mkfifo(store.blob_path(blob.digest))  # a blob that never ends
    what = json.dumps([[blob.media_type, blob.digest, 0], image.diff_ids[0], str(goal)])
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", TWO, what]
    pipe, null = subprocess.PIPE, subprocess.DEVNULL
    with subprocess.Popen(command, stdin=pipe, stdout=null, env=environment) as process:
        assert process.stdin is not None
        process.stdin.write(b"\n")
        process.stdin.flush()
        with open(store.blob_path(blob.digest), "wb") as endless:
            endless.write(member(b"a", data=bytes(1 << 20)))
            endless.flush()
            (aside,) = eventually(lambda: list(goal.parent.glob(".new-*/a")))
            eventually(lambda: str(aside.parent) in roots_of_processes())
            process.kill()
            process.wait()
    eventually(lambda: str(aside.parent) not in roots_of_processes())
    assert not goal.exists()


def eventually(look: Callable[[], T]) -> T:
    deadline = time.monotonic() + 20
    while not (found := look()):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return found


def roots_of_processes() -> set[str]:
    found = set()
    for root in Path("/proc").glob("[0-9]*/root"):
        try:
            found.add(str(root.readlink()))
        except OSError:
            pass  # it has ended, or is somebody else's
    return found


@pytest.mark.parametrize("moment", ["make", "chown", "worker", "rename"])
def test_whatever_fails_leaves_nothing(
    moment: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = archives.image(EVERYTHING)

    def fail(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    what: dict[str, tuple[object, str]] = {
        "make": (unpacking.paths, "make_passable"),
        "chown": (unpacking, "mappings"),
        "worker": (unpacking, "_pump"),
        "rename": (os, "rename"),
    }
    monkeypatch.setattr(*what[moment], fail)
    with pytest.raises(KeyboardInterrupt):
        layers.unpacked(image)
    assert list((tmp_path / "home").glob("layers/*")) == []


def test_memory_is_bounded() -> None:
    """A layer of 100 MiB is never whole in memory."""
    large = b"".join(member(b"f%d" % n, data=os.urandom(1 << 20)) for n in range(100))
    archives.image(Blob(large + END))
    code = (
        "import re, resource; from labrt.images import layers, store; "
        "layers.unpacked(store.resolve('it')); "
        "own = re.search(r'VmHWM:\\s+(\\d+)', open('/proc/self/status').read())[1]; "
        "print(own, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=100,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert re.fullmatch(r"\d+ \d+\n", done.stdout), done.stderr
    assert max(map(int, done.stdout.split())) < 64 * 1024  # KiB
