"""The store of a normal user: all that root may do with images, without a right of root's."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator

import pytest

from tests.labrt import test_rootless
from tests.labrt.test_rootless import FIRST, User, needs_uidmap, user

pytestmark = test_rootless.pytestmark


@pytest.fixture(params=["nobody:junk:65536\n", f"nobody:{FIRST}:65536\n"], ids=["single", "ranged"])
def somebody(request: pytest.FixtureRequest) -> Iterator[User]:
    """A user to whom /etc/subuid grants nothing, and one to whom it grants a range."""
    with user(request.param) as someone:
        yield someone


def done(run: subprocess.CompletedProcess[str]) -> str:
    assert (run.stderr, run.returncode) == ("", 0)
    return run.stdout


def test_an_image_is_saved_removed_collected_loaded_and_run(somebody: User) -> None:
    archive = str(somebody.folder / "file")
    digest = done(somebody.labrt("images", "-q")).strip()
    done(somebody.labrt("run", "busybox", "true"))
    done(somebody.labrt("save", "-o", archive, "busybox"))
    assert done(somebody.labrt("rmi", "busybox")) == "busybox\n"
    kinds = [line.split()[0] for line in done(somebody.labrt("image", "gc")).splitlines()]
    assert kinds[:-1] == ["blob"] * 3 + ["layer"]
    assert list((somebody.folder / "home" / "layers").iterdir()) == []
    assert done(somebody.labrt("load", "-i", archive)) == f"busybox {digest}\n"
    assert done(somebody.labrt("run", "busybox", "echo", "hello")) == "hello\n"


def test_a_root_is_imported_and_run(somebody: User) -> None:
    blobs = (somebody.folder / "home" / "images" / "blobs" / "sha256").iterdir()
    layer = max(blobs, key=lambda blob: blob.stat().st_size)  # busybox's only one
    change = 'CMD ["echo", "imported"]'
    done(somebody.labrt("import", "-c", change, "-c", "ENV PATH=/bin", str(layer), "mine"))
    assert done(somebody.labrt("run", "mine")) == "imported\n"
    done(somebody.labrt("tag", "mine", "yours:v1"))
    assert done(somebody.labrt("image", "diff", "mine", "yours:v1")).startswith("0 files differ")


OWNED = """
import io, tarfile
from labrt.images import layers, making, naming, store
def write(stream):
    with tarfile.open(fileobj=stream, mode="w|") as archive:
        for name, mode in (("closed", 0o700), ("closed/file", 0o600)):
            member = tarfile.TarInfo(name)
            member.type = tarfile.DIRTYPE if name == "closed" else tarfile.REGTYPE
            member.uid, member.mode = 7, mode
            archive.addfile(member)
with store.adding():
    image = making.image("owned", [making.layer(write)], {"config": {}})
layers.unpacked(image)
naming.remove("owned")
"""


@needs_uidmap
def test_a_layer_whose_files_are_others_goes_too() -> None:
    with user(f"nobody:{FIRST}:65536\n") as someone:
        done(someone.python("-c", OWNED))
        (folder,) = (someone.folder / "home" / "layers").iterdir()
        assert (folder / "closed").stat().st_uid == FIRST + 6
        assert "layer" in done(someone.labrt("image", "gc"))
        assert not folder.exists()
