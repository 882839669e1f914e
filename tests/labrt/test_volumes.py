"""labrt/volumes.py, binds.py, volume_store.py: what is seen beside the image, what is refused."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import labrt
from labrt import container, removal, state, syscalls, volume_store
from labrt.declare import declare
from labrt.errors import LabError
from labrt.images import store
from tests.labrt.conftest import needs_root
from tests.labrt.test_cli import environment
from tests.labrt.test_cli import labrt as command

pytestmark = pytest.mark.usefixtures("no_mount_left", "nothing_left")


@pytest.fixture
def no_mount_left(home: Path, tmp_path: Path) -> Iterator[None]:
    """Fail a test after which the host has a mount of ours."""
    yield
    mounts = Path("/proc/self/mountinfo").read_text()
    assert str(home.parent) not in mounts
    assert str(tmp_path) not in mounts


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A folder of the host that the container's root may write."""
    folder = tmp_path / "tree"
    folder.mkdir()
    folder.chmod(0o777)
    (folder / "file").write_text("the host's")
    return folder


@pytest.fixture
def submount(tree: Path) -> Iterator[Path]:
    """A file system of its own below the folder."""
    below = tree / "below"
    below.mkdir()
    syscalls.mount("tmpfs", below, "tmpfs", 0, "mode=777")
    (below / "deep").write_text("deep")
    yield below
    syscalls.umount2(below, 0)


@pytest.fixture
def shared(tree: Path) -> Iterator[Path]:
    """The folder on a shared mount of its own."""
    syscalls.mount(str(tree), tree, None, syscalls.MS_BIND)
    syscalls.mount(None, tree, None, syscalls.MS_SHARED)
    yield tree
    syscalls.umount2(tree, syscalls.MNT_DETACH)


@pytest.fixture
def volume() -> Iterator[str]:
    yield "test-volume"
    if "test-volume" in volume_store.names():
        volume_store.remove("test-volume")


def said(script: str, **options: Any) -> str:
    return labrt.output("busybox", ["sh", "-c", script], **options).strip()


# Bind mounts.


@pytest.mark.parametrize("spelling", ["volume", "mount"])
def test_a_folder_of_the_host_is_seen_and_written(tree: Path, spelling: str) -> None:
    value = {
        "volume": f"{tree}:/data",
        "mount": f"type=bind,source={tree},target=/data",
    }[spelling]
    assert said("cat /data/file; echo new >/data/new", **{spelling: [value]}) == "the host's"
    assert (tree / "new").read_text() == "new\n"


def test_a_file_too_and_a_missing_target_is_made_with_all_above(tree: Path) -> None:
    assert said("cat /no/such/file", volume=[f"{tree}/file:/no/such/file"]) == "the host's"


def test_a_link_as_source_is_followed_on_the_host(tree: Path) -> None:
    (tree.parent / "link").symlink_to(tree)
    assert said("cat /data/file", volume=[f"{tree.parent}/link:/data"]) == "the host's"


@needs_root
def test_root_may_show_what_others_keep_private(tree: Path) -> None:
    tree.parent.chmod(0o700)
    os.chown(tree.parent, 1234, 1234)
    assert said("cat /data/file", volume=[f"{tree}:/data"]) == "the host's"


@needs_root
def test_the_hosts_owners_are_nobody_inside(tree: Path) -> None:
    assert said("stat -c %u /data/file", volume=[f"{tree}:/data"]) == "65534"


@needs_root
@pytest.mark.parametrize("read_only", ["volume", "mount"])
def test_read_only_goes_all_the_way_down(tree: Path, submount: Path, read_only: str) -> None:
    value = {
        "volume": f"{tree}:/data:ro",
        "mount": f"type=bind,src={tree},dst=/data,readonly",
    }[read_only]
    text = said("cat /data/below/deep; touch /data/x /data/below/x", **{read_only: [value]})
    assert text.count("Read-only file system") == 2
    assert text.startswith("deep")


def test_nosuid_and_nodev_unless_they_are_lifted(tree: Path) -> None:
    def flags(more: str) -> str:
        line = said("grep ' /data ' /proc/self/mountinfo", volume=[f"{tree}:/data{more}"])
        return line.split()[5]

    assert {"nosuid", "nodev"} <= set(flags("").split(","))
    assert not {"nosuid", "nodev"} & set(flags(":suid,dev").split(","))
    assert "noexec" in flags(":noexec,z")


def test_a_mount_below_another_is_not_hidden_by_it_whatever_the_order(tree: Path) -> None:
    mounted = said("ls /data /data/inner", volume=[f"{tree}:/data/inner"], tmpfs=["/data"])
    assert "file" in mounted


# Propagation.


def mounts_after(tree: Path, word: str) -> str:
    """Mount something on the host while a container runs; return what that one sees there."""
    (tree / "later").mkdir()
    script = "echo up; read line; cat /data/later/file"
    reader, writer = os.pipe()
    out, into = os.pipe()
    with labrt.run(
        "busybox", ["sh", "-c", script], stdin=reader, stdout=into, volume=[f"{tree}:/data:{word}"]
    ) as c:
        os.close(reader)
        os.close(into)
        with os.fdopen(out) as answers, os.fdopen(writer, "w") as line:
            assert answers.readline() == "up\n"
            syscalls.mount("tmpfs", tree / "later", "tmpfs")
            (tree / "later" / "file").write_text("seen")
            line.write("\n")
            line.close()
            text = answers.read()
        c.wait(30)
    syscalls.umount2(tree / "later", 0)
    return text


@needs_root
@pytest.mark.parametrize(
    ("word", "seen"), [("rprivate", ""), ("rslave", "seen"), ("rshared", "seen")]
)
def test_what_the_host_mounts_later_arrives_if_asked_for(
    shared: Path, word: str, seen: str
) -> None:
    assert mounts_after(shared, word) == seen


@needs_root
@pytest.mark.parametrize(("word", "arrives"), [("rslave", False), ("rshared", True)])
def test_what_the_container_mounts_reaches_the_host_only_if_shared(
    shared: Path, word: str, arrives: bool
) -> None:
    (shared / "inner").mkdir()
    script = "mount -t tmpfs inner /data/inner && grep -c inner /proc/self/mountinfo; sleep 60"
    out, into = os.pipe()
    volumes = [f"{shared}:/data:{word}"]
    with (
        os.fdopen(out) as answers,
        labrt.run(
            "busybox", ["sh", "-c", script], stdout=into, volume=volumes, privileged=True
        ) as c,
    ):
        os.close(into)
        assert answers.readline() == "1\n"
        reached = os.path.ismount(shared / "inner")
        c.kill()
    if reached:
        syscalls.umount2(shared / "inner", 0)
    assert reached == arrives


@needs_root
@pytest.mark.parametrize("word", ["rshared", "rslave"])
def test_propagation_that_could_not_happen_is_refused(tree: Path, word: str) -> None:
    syscalls.mount(str(tree), tree, None, syscalls.MS_BIND)
    syscalls.mount(None, tree, None, syscalls.MS_PRIVATE)
    try:
        with pytest.raises(LabError, match="isn't on a shared mount"):
            said("true", volume=[f"{tree}:/data:{word}"])
    finally:
        syscalls.umount2(tree, 0)


# What is refused: one line, before anything is made.


def looped(folder: Path) -> Path:
    (folder / "loop").symlink_to("loop")
    return folder / "loop"


@pytest.mark.parametrize(
    ("options", "answer"),
    [
        ({"volume": ["/no/such:/data"]}, "ENOENT.*Remedy: mkdir -p /no/such"),
        ({"mount": ["type=bind,src=/no/such,dst=/data"]}, "ENOENT"),
        ({"volume": ["/etc:data"]}, "target 'data' isn't absolute"),
        ({"volume": ["/etc:"]}, "target '' isn't absolute"),
        ({"volume": [":/etc"]}, "not of the form"),
        ({"volume": ["/etc:/a:ro:z"]}, "not of the form"),
        ({"volume": ["./no-such:/data"]}, "ENOENT"),
        ({"volume": ["no/such:/data"]}, "neither a volume's name nor a path"),
        ({"volume": ["/etc:/data:often"]}, "unknown option 'often'"),
        ({"volume": ["name:/data:rslave"]}, "unknown option 'rslave'"),
        ({"volume": ["/etc:/"]}, "nothing may be laid over /"),
        ({"volume": ["/etc:/proc/self"]}, "nothing may be laid over /proc/self"),
        ({"volume": ["/etc:/data/../sys"]}, "nothing may be laid over /sys"),
        ({"volume": ["/etc:/data"], "tmpfs": ["/data/"]}, "two mounts have this target"),
        ({"tmpfs": ["/data:size=big"]}, "size can't be 'big'"),
        ({"tmpfs": ["/data:mode=999"]}, "mode can't be '999'"),
        ({"tmpfs": ["/data:colour=red"]}, "a tmpfs has no 'colour'"),
        ({"mount": ["type=disk,dst=/data"]}, "unknown type 'disk'"),
        ({"mount": ["type=bind,dst=/data"]}, "needs a source"),
        ({"mount": ["type=bind,src=/etc"]}, "it has no target"),
        ({"mount": ["type=bind,src=/etc,dst=/data,size=1"]}, "unexpected key 'size'"),
        ({"mount": ["type=bind,src=/etc,dst=/data,readonly=often"]}, "readonly can't be 'often'"),
        ({"mount": ["type=bind,src=/etc,dst=/data,bind-propagation=x"]}, "unknown propagation 'x'"),
        ({"mount": ["type=tmpfs,src=/etc,dst=/data"]}, "a tmpfs has no source"),
        ({"shm_size": "big"}, "set the size of /dev/shm to 'big': not a size"),
    ],
)
def test_a_wrong_wish_is_refused(options: dict[str, Any], answer: str) -> None:
    with pytest.raises(LabError, match=answer):
        labrt.run("busybox", ["true"], **options)


def test_a_source_that_is_a_loop_of_links_is_refused(tmp_path: Path) -> None:
    done = command("run", "-v", f"{looped(tmp_path)}:/data", "busybox")
    assert (done.returncode, done.stderr.count("\n")) == (125, 1)
    assert "ELOOP: Too many levels of symbolic links" in done.stderr


@pytest.mark.parametrize(("source", "target"), [("file", "/etc"), ("", "/etc/passwd")])
def test_a_folder_on_a_file_or_a_file_on_a_folder_is_refused(
    tree: Path, source: str, target: str
) -> None:
    done = command("run", "-v", f"{tree}/{source}:{target}", "busybox")
    assert (done.returncode, done.stderr.count("\n")) == (125, 1)
    assert "one of the two is a folder and the other is not" in done.stderr


# tmpfs.


@pytest.mark.parametrize(
    "options",
    [
        {"tmpfs": ["/data:size=1m,mode=700"]},
        {"mount": ["type=tmpfs,destination=/data,tmpfs-size=1m,tmpfs-mode=700"]},
    ],
)
def test_a_tmpfs_has_the_size_and_mode_asked_for(options: dict[str, Any]) -> None:
    fill = "head -c 2m /dev/zero >/data/big 2>/dev/null; wc -c </data/big"
    mode, size, line = said(
        f"stat -c %a /data; {fill}; grep ' /data ' /proc/mounts", **options
    ).splitlines()
    assert (mode, size) == ("700", str(1 << 20))
    assert {"noexec", "nosuid", "nodev"} <= set(line.split()[3].split(","))


def test_shared_memory_has_the_size_asked_for() -> None:
    assert "size=2048k" in said("grep ' /dev/shm ' /proc/mounts", shm_size="2m")


# Named volumes.


def test_a_volume_outlives_its_containers_and_belongs_to_their_root(volume: str) -> None:
    said("echo kept >/data/file", volume=[f"{volume}:/data"])
    assert said("cat /data/file; stat -c %u /data", volume=[f"{volume}:/data"]) == "kept\n0"


@needs_root
def test_an_empty_volume_gets_what_the_image_has_there_once(volume: str) -> None:
    assert "root" in said("cat /data/passwd; cat /etc/passwd", volume=[f"{volume}:/etc:ro"])
    said("rm /etc/passwd", volume=[f"{volume}:/etc"])
    assert "passwd" not in said("ls /etc", volume=[f"{volume}:/etc"])


def test_unless_it_is_asked_not_to(volume: str) -> None:
    assert said("ls /etc", volume=[f"{volume}:/etc:nocopy"]) == ""
    assert said("ls /etc", mount=[f"source={volume},target=/etc,volume-nocopy"]) == ""


def test_a_volume_without_a_name_dies_with_its_container(home: Path) -> None:
    before = volume_store.names()
    assert said("echo x >/data/file; cat /data/file", volume=["/data"]) == "x"
    assert volume_store.names() == before


def test_a_volume_in_use_is_not_removed(volume: str) -> None:
    spec = declare(store.resolve("busybox"), ["true"], volume=[f"{volume}:/data"], detach=True)
    container.create(spec)
    try:
        done = command("volume", "rm", volume)
        assert done.returncode == 125
        assert f"used by {spec.life.name}" in done.stderr
        assert volume not in command("volume", "prune", "--force").stdout
    finally:
        removal.remove(state.find(spec.id))
    assert command("volume", "rm", volume).returncode == 0


def test_volumes_are_made_listed_shown_and_removed(volume: str) -> None:
    assert command("volume", "create", volume).stdout == f"{volume}\n"
    assert volume in command("volume", "ls").stdout.splitlines()
    (facts,) = json.loads(command("volume", "inspect", volume).stdout)
    assert facts["Name"] == volume and Path(facts["Mountpoint"]).is_dir()
    assert command("volume", "prune").returncode == 125, "what is in them would be lost"
    assert command("volume", "prune", "--force").stdout == f"{volume}\n"
    assert "there is none" in command("volume", "inspect", volume).stderr


@pytest.mark.parametrize("name", ["..", "a/b", "", ".hidden", "-x", "x" * 200])
def test_a_name_that_is_none_is_refused(name: str) -> None:
    done = command("volume", "create", "--", name)
    assert done.returncode == 125
    assert "neither a volume's name" in done.stderr


def test_many_at_once_make_one_volume(volume: str) -> None:
    script = (
        "import sys; from labrt import container; from labrt.declare import declare;"
        "from labrt.images import store; args = ['touch', '/data/' + sys.argv[2]];"
        "spec = declare(store.resolve('busybox'), args, volume=[sys.argv[1] + ':/data']);"
        "c = container.start(spec); code = c.wait(); c.finish(); sys.exit(code)"
    )
    several = [
        subprocess.Popen([sys.executable, "-c", script, volume, str(number)], env=environment())
        for number in range(4)
    ]
    assert [process.wait(60) for process in several] == [0] * 4
    assert said("ls /data", volume=[f"{volume}:/data"]).split() == ["0", "1", "2", "3"]
