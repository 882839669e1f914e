"""What the words of mount(8) are to the kernel."""

from __future__ import annotations

import pytest

from labrt.mount_options import NAMES, Change, parse
from labrt.syscalls import MS_NODEV, MS_NOSUID, MS_PRIVATE, MS_RDONLY, MS_SHARED, MS_SLAVE

# config.md, "Linux mount options"
SPECIFIED = """
    async atime bind defaults dev diratime dirsync exec iversion lazytime loud mand noatime nodev
    nodiratime noexec noiversion nolazytime nomand norelatime nostrictatime nosuid nosymfollow
    private ratime rbind rdev rdiratime relatime remount rexec rnoatime rnodev rnodiratime rnoexec
    rnorelatime rnostrictatime rnosuid rnosymfollow ro rprivate rrelatime rro rrw rshared rslave
    rstrictatime rsuid rsymfollow runbindable rw shared silent slave strictatime suid symfollow sync
    tmpcopyup unbindable idmap ridmap
"""


def test_every_option_of_the_specification_is_known() -> None:
    assert sorted(set(SPECIFIED.split()) - set(NAMES)) == []


def test_of_two_that_contradict_each_other_the_later_one_holds() -> None:
    assert parse(("ro", "nosuid", "rw")).flags == MS_NOSUID
    assert parse(("rw", "ro")).flags == MS_RDONLY


def test_unknown_words_are_the_file_systems_own() -> None:
    assert parse(("nodev", "size=64k", "noswap", "defaults")).data == "size=64k,noswap"


def test_propagation_is_kept_in_order() -> None:
    found = parse(("rslave", "shared", "private")).propagation
    assert found == ((MS_SLAVE, True), (MS_SHARED, False), (MS_PRIVATE, False))


@pytest.mark.parametrize(
    ("words", "below"),
    [
        (("rro",), Change(1, 0)),
        (("rro", "rrw"), Change(0, 1)),
        (("rnosuid", "rnodev"), Change(MS_NOSUID | MS_NODEV, 0)),
        (("rnoatime",), Change(0x10, 0x70)),
        (("rnoatime", "rstrictatime"), Change(0x20, 0x70)),
        (("ratime",), Change(0, 0x70)),
        (("ro",), Change()),
    ],
)
def test_what_changes_below(words: tuple[str, ...], below: Change) -> None:
    assert parse(words).below == below


def test_flags_of_a_mount_that_is_there_already() -> None:
    assert parse(("ro", "noatime", "sync")).alone() == Change(MS_RDONLY | 0x10, 0x70)


def test_bind_takes_along_nothing_below() -> None:
    assert not parse(("bind",)).recursive
    assert parse(("rbind",)).recursive
