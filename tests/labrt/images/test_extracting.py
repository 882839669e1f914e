"""labrt/images/extracting.py: what a layer holds is what a container finds, whoever unpacks it."""

from __future__ import annotations

import os
import struct

import labrt
from tests.labrt.conftest import needs_root
from tests.labrt.images.archives import on_busybox
from tests.labrt.images.test_unpacking import EVERYTHING
from tests.labrt.test_rootless import needs_uidmap, user

SEEN = "cd /d; stat -c '%n %F %a %u %g %Y' . setuid marked capable pipe ../closed ../other"


@needs_root
def test_a_container_finds_what_the_archive_says() -> None:
    on_busybox(EVERYTHING)
    assert labrt.output("it", ["sh", "-c", f"{SEEN}; cat ../dev/shown 2>&1"]).splitlines() == [
        ". directory 1777 0 0 100",
        "setuid regular file 4755 7 0 200",
        "marked regular empty file 400 0 8 0",
        "capable regular file 755 0 0 0",
        "pipe fifo 620 0 0 0",
        "../closed directory 0 7 0 0",
        "../other regular file 4755 7 0 200",
        "cat: can't open '../dev/shown': No such file or directory",
    ]


IMAGE = """
from tests.labrt.images.archives import on_busybox
from tests.labrt.images.test_unpacking import EVERYTHING
on_busybox(EVERYTHING)
"""


@needs_root  # to become another user
@needs_uidmap
def test_a_normal_users_container_finds_the_same() -> None:
    with user("nobody:1000000000:65536\n") as someone:
        assert someone.python("-c", IMAGE).stderr == ""
        done = someone.labrt("run", "it", "sh", "-c", SEEN)
        assert done.stdout.splitlines()[1:3] == [
            "setuid regular file 4755 7 0 200",
            "marked regular empty file 400 0 8 0",
        ], done.stderr
        (unpacked,) = (someone.folder / "home" / "layers").glob("*/d")  # for root looks at all
        assert os.listxattr(unpacked / "marked") == ["user.a"]
        found = os.getxattr(unpacked / "capable", "security.capability")
        assert struct.unpack("<6I", found)[-1] == someone.folder.stat().st_uid


@needs_root  # to become another user
def test_without_a_range_all_is_its_users() -> None:
    with user("") as someone:
        assert someone.python("-c", IMAGE).stderr == ""
        done = someone.labrt("run", "it", "sh", "-c", SEEN)
        assert done.stdout.splitlines()[1:3] == [
            "setuid regular file 4755 0 0 200",
            "marked regular empty file 400 0 0 0",
        ], done.stderr
