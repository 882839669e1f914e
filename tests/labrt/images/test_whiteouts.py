"""labrt/images/whiteouts.py: what a layer hides, as real containers see it."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

import labrt
from labrt.changes import changes
from labrt.images import layers, making, store
from tests.labrt.images.archives import folder, member, on_busybox, pax

LOWER = b"".join(
    [
        folder(b"some"),
        member(b"some/one", data=b"1"),
        member(b"some/two", data=b"2"),
        folder(b"all"),
        member(b"all/one", data=b"1"),
        folder(b"all/below"),
        folder(b"gone"),
        member(b"gone/one", data=b"1"),
        folder(b"again"),
        member(b"again/one", data=b"1"),
    ]
)
UPPER = b"".join(
    [
        member(b"some/.wh.one"),
        member(b"all/.wh..wh..opq"),
        member(b"all/new", data=b"n"),
        member(b"all/.wh.one"),
        member(b".wh.gone"),
        folder(b"again"),
        member(b"again/new", data=b"n"),
        member(b".wh.again"),
        member(b".wh.nothing", b"1", link=b".wh.gone"),
        folder(b"fresh"),
        member(b"fresh/.wh.never"),
    ]
)
SEEN = {"some": "two", "all": "new", "again": "new", "fresh": ""}


def listed() -> dict[str, str]:
    script = "for f in some all gone again fresh; do [ -e /$f ] && echo $f: $(ls /$f); done; :"
    done = labrt.output("it", ["sh", "-c", script])
    lines = (
        line.split(": ") if ": " in line else [line.rstrip(":"), ""] for line in done.split("\n")
    )
    return {name: found for name, found in lines if name}


def test_containers_see_what_is_left() -> None:
    on_busybox(LOWER, UPPER)
    assert listed() == SEEN


def test_the_order_in_the_archive_does_not_matter() -> None:
    blocks = [UPPER[at : at + 512] for at in range(0, len(UPPER), 512)]
    heads = [n for n, block in enumerate(blocks) if block[257:262] == b"ustar"]
    parts = [b"".join(blocks[a:b]) for a, b in zip(heads, [*heads[1:], None], strict=True)]
    on_busybox(LOWER, b"".join(reversed(parts[:8])) + b"".join(parts[8:]))
    assert listed() == SEEN


def test_overlayfs_finds_its_own_forms() -> None:
    *_, top = layers.unpacked(on_busybox(LOWER, UPPER))
    gone = os.lstat(top / "gone")
    assert stat.S_ISCHR(gone.st_mode) and gone.st_rdev == 0
    assert os.getxattr(top / "all", "user.overlay.opaque") == b"y"
    assert os.getxattr(top / "again", "user.overlay.opaque") == b"y"
    assert not list(top.rglob(".wh.*"))


def test_a_file_stays_gone_in_layers_above() -> None:
    on_busybox(LOWER, UPPER, member(b"some/three"))
    assert listed()["some"] == "three two"


def test_an_opaque_root_hides_all_that_is_below() -> None:
    image = on_busybox(LOWER, member(b".wh..wh..opq"))
    busybox, lower, opaque = making.layers(image)
    making.image("it", [lower, opaque, busybox], image.config)
    assert listed() == {}


def test_a_layer_may_be_there_twice() -> None:
    on_busybox(LOWER, UPPER, LOWER)
    assert listed() == {
        "some": "one two",
        "all": "below new one",
        "gone": "one",
        "again": "new one",
        "fresh": "",
    }


def test_an_image_may_have_more_layers_than_mount_has_room_for_by_name() -> None:
    on_busybox(*[member(b"file%d" % n) for n in range(50)])
    assert labrt.output("it", ["sh", "-c", "ls /file* | wc -l"]).strip() == "50"


def test_changes_are_told_against_what_the_image_shows() -> None:
    on_busybox(LOWER, UPPER)
    script = "touch /gone /some/one /all/one /again/one; rm /some/two; echo >/all/new; sleep 60"
    with labrt.run("it", ["sh", "-c", script]) as c:
        while not (Path(c.spec.state_dir) / "upper" / "all" / "new").exists():
            assert c.wait(0.01) is None
        found = set(changes(c.spec))
    assert found >= {
        ("A", "/gone"),
        ("A", "/some/one"),
        ("A", "/all/one"),
        ("A", "/again/one"),
        ("D", "/some/two"),
        ("C", "/all/new"),
    }


@pytest.mark.parametrize(
    "mark", [b"user.overlay.opaque", b"trusted.overlay.opaque", b"user.overlay.redirect"]
)
def test_an_archive_cannot_set_overlayfs_own_marks(mark: bytes) -> None:
    on_busybox(LOWER, pax({b"SCHILY.xattr." + mark: b"y"}) + folder(b"some"))
    *_, top = layers.unpacked(store.resolve("it"))
    assert not [name for name in os.listxattr(top / "some") if "overlay" in name]
    assert listed()["some"] == "one two"
