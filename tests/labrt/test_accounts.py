"""labrt/accounts.py: --user as Docker reads it, from files that may be hostile."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import labrt
from labrt import accounts
from labrt.accounts import Account
from labrt.errors import LabError
from labrt.spec import Hook, Hooks, Life, Mount, Process, Root, Spec
from tests.labrt.conftest import needs_root

PASSWD = """
root:x:0:0:root:/root:/bin/sh
daemon:x:2:3:d:/sbin:/bin/false
web:x:33:34::/var/www:/bin/sh
1000:x:5:5:named like a number::
"""
GROUP = "root:x:0:\nstaff:x:50:web,daemon\nadm:x:4:root,web\n"


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The lookup's files; in a container they are in /etc."""
    read = accounts.read
    monkeypatch.setattr(accounts, "read", lambda path: read(str(tmp_path / Path(path).name)))
    (tmp_path / "passwd").write_text(PASSWD)
    (tmp_path / "group").write_text(GROUP)
    return tmp_path


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ("", Account(0, 0, (4,), "/root")),
        ("web", Account(33, 34, (50, 4), "/var/www")),
        ("33", Account(33, 34, (50, 4), "/var/www")),
        ("033", Account(33, 34, (50, 4), "/var/www")),
        ("web:staff", Account(33, 50, (), "/var/www")),
        ("web:7", Account(33, 7, (), "/var/www")),
        ("1000", Account(1000, 0, (), "/")),
        ("7:8", Account(7, 8, (), "/")),
    ],
)
def test_a_user_is_found_as_docker_does(files: Path, asked: str, found: Account) -> None:
    assert accounts.find(asked) == found


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ("nosuch", "user 'nosuch': the image's /etc/passwd"),
        ("web:nosuch", "group 'nosuch': the image's /etc/group"),
        ("4294967295", "user '4294967295'"),  # -1: setresuid(2) would change nothing
        ("web:4294967295", "group '4294967295'"),
    ],
)
def test_a_name_without_an_entry_is_refused(files: Path, asked: str, said: str) -> None:
    with pytest.raises(LabError, match=said):
        accounts.find(asked)


@pytest.mark.parametrize(
    "line",
    [
        "web:x:-1:0::/:/bin/sh",
        "web:x:4294967295:0::/:/bin/sh",
        "web:x:99999999999999999999:0::/:/bin/sh",
        "web:x:１:0::/:/bin/sh",
        "web:x::0::/:/bin/sh",
        "web:x:1",
        "web",
        ":" * 9999,
    ],
)
def test_an_entry_that_makes_no_sense_is_passed_over(files: Path, line: str) -> None:
    (files / "passwd").write_text(f"{line}\n{PASSWD}")
    assert accounts.find("web").uid == 33


def test_no_more_than_a_bound_is_read(files: Path) -> None:
    os.truncate(files / "passwd", 1 << 40)  # sparse
    assert accounts.find("web").uid == 33


@pytest.mark.parametrize("kind", ["missing", "fifo", "folder", "device", "binary"])
def test_a_file_that_is_none_is_as_if_it_were_empty(files: Path, kind: str) -> None:
    file = files / "passwd"
    file.unlink()
    if kind == "fifo":
        os.mkfifo(file)
    elif kind == "folder":
        file.mkdir()
    elif kind == "device":
        file.symlink_to("/dev/zero")
    elif kind == "binary":
        file.write_bytes(bytes(range(256)))
    assert accounts.find("7") == Account(7, 0, (), "/")


@pytest.mark.parametrize("asked", ["a b", ":", "web:", "a:b:c", "-x", "../x", "4294967295", "x\n"])
@pytest.mark.usefixtures("home")
def test_what_is_no_user_is_refused_before_anything_is_made(asked: str) -> None:
    with pytest.raises(LabError, match="become the user"):
        labrt.run("busybox", ["true"], user=asked)


@needs_root
@pytest.mark.usefixtures("nothing_left")
def test_the_program_has_the_users_ids_groups_and_home_and_no_capability() -> None:
    script = "id -u; id -g; id -G; echo $HOME; grep Cap /proc/self/status"
    said = labrt.output("busybox", ["sh", "-c", script], user="nobody", group_add=["root", "9"])
    uid, gid, groups, folder, *caps = said.splitlines()
    assert (uid, gid, folder) == ("65534", "65534", "/")
    assert {int(group) for group in groups.split()} == {0, 9, 65534}
    sets = dict(line.split(":\t") for line in caps)
    assert sets["CapBnd"] == "00000000a80425fb"
    for name in ("CapEff", "CapPrm", "CapInh", "CapAmb"):
        assert int(sets[name], 16) == 0, name


@pytest.mark.usefixtures("nothing_left")
def test_home_stays_as_it_was_set() -> None:
    assert labrt.output("busybox", ["sh", "-c", "echo $HOME"]) == "/root\n"
    assert labrt.output("busybox", ["sh", "-c", "echo $HOME"], env=["HOME=/x"]) == "/x\n"


@needs_root
@pytest.mark.usefixtures("nothing_left")
def test_an_id_that_is_not_mapped_is_refused_with_the_range() -> None:
    with pytest.raises(LabError, match="isn't mapped.*from 0 to 65535"):
        labrt.run("busybox", ["true"], user="65536")


# Beforehand: the files of a container that isn't there yet.


@pytest.fixture
def beneath(tmp_path: Path) -> Callable[..., Spec]:
    """Declares a container of layers, by their /etc/passwd (None: no /etc), the lowest first."""

    def declared(*texts: str | None, **more: Any) -> Spec:
        layers = []
        for number, text in enumerate(texts):
            layers.append(tmp_path / f"layer{number}")
            layers[-1].mkdir()
            if text is not None:
                (layers[-1] / "etc").mkdir()
                (layers[-1] / "etc" / "passwd").write_text(text)
        state = tmp_path / "state"
        (state / "upper").mkdir(parents=True)
        root = Root(tuple(map(str, layers)))
        return Spec("one", "", str(state), "", Process(("true",)), root, Life("one"), **more)

    return declared


def passwd(spec: Spec) -> str | None:
    read = accounts.beforehand(spec)
    return None if read is None else read("/etc/passwd")


Beneath = Callable[..., Spec]


def test_the_topmost_layer_that_has_the_file_is_read(beneath: Beneath) -> None:
    assert passwd(beneath("lowest", "topmost", None)) == "topmost"


def test_a_layer_without_the_file_shows_those_below(beneath: Beneath) -> None:
    spec = beneath("lowest", "gone")
    Path(spec.root.layers[1], "etc/passwd").unlink()
    assert passwd(spec) == "lowest"


@pytest.mark.skipif(os.geteuid() != 0, reason="root alone makes a whiteout by hand")
def test_a_whiteout_hides_those_below(beneath: Beneath) -> None:
    spec = beneath("lowest", "hidden")
    file = Path(spec.root.layers[1], "etc/passwd")
    file.unlink()
    os.mknod(file, stat.S_IFCHR, os.makedev(0, 0))
    assert passwd(spec) == ""


def test_an_opaque_folder_leaves_it_to_the_container(beneath: Beneath) -> None:
    spec = beneath("lowest", "gone")
    folder = Path(spec.root.layers[1], "etc")
    (folder / "passwd").unlink()
    os.setxattr(folder, "user.overlay.opaque", b"y")
    assert passwd(spec) is None


@pytest.mark.parametrize("place", ["etc", "etc/passwd"])
def test_a_link_leaves_it_to_the_container_and_is_not_followed(
    beneath: Beneath, tmp_path: Path, place: str
) -> None:
    spec = beneath("mine")
    (tmp_path / "passwd").write_text("the host's")
    there = Path(spec.root.layers[0], place)
    there.rename(tmp_path / "aside")
    there.symlink_to(tmp_path if place == "etc" else tmp_path / "passwd")
    assert passwd(spec) is None


def test_what_is_no_file_is_not_opened(beneath: Beneath) -> None:
    spec = beneath("a pipe")
    file = Path(spec.root.layers[0], "etc/passwd")
    file.unlink()
    os.mkfifo(file)
    assert passwd(spec) == ""


@pytest.mark.parametrize("over", ["/", "/etc", "/etc/passwd"])
def test_what_a_mount_lies_over_is_left_to_the_container(beneath: Beneath, over: str) -> None:
    assert passwd(beneath("image's", mounts=(Mount(over, "tmpfs", "tmpfs", ()),))) is None


def test_what_is_masked_is_left_to_the_container(beneath: Beneath) -> None:
    assert passwd(beneath("image's", masked_paths=("/etc/passwd",))) is None


def test_what_the_container_has_changed_is_left_to_it(beneath: Beneath) -> None:
    spec = beneath("image's")
    Path(spec.state_dir, "upper", "etc").mkdir()
    assert passwd(spec) is None


def test_a_bundles_links_are_followed_in_its_own_root(beneath: Beneath) -> None:
    spec = beneath("mine", None)
    first, second = spec.root.layers
    Path(first, "etc").rename(Path(first, "usr"))
    Path(first, "etc").symlink_to("/usr")
    bundle = replace(spec, root=Root(path=first))
    assert passwd(bundle) == "mine"
    assert passwd(replace(bundle, root=Root(path=second))) == ""
    hooked = Hooks(start_container=(Hook("/bin/true"),))
    assert passwd(replace(bundle, hooks=hooked)) is None, "a hook may change it"
