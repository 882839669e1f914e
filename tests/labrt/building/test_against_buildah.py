"""labrt build and buildah: the same Containerfile gives the same files and the same settings.

buildah is somebody else's builder of the same language; what it makes of each case is not written
down here, but looked at.
"""

from __future__ import annotations

import gzip
import io
import json
import os
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from labrt.images import store
from tests.labrt.building.test_build import archive, build_here

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("buildah") is None, reason="no buildah here"),
    pytest.mark.skipif(os.geteuid() != 0, reason="buildah without root needs a range of ids"),
    pytest.mark.usefixtures("nothing_left"),
]
# What each of the two leaves behind of its own mounts.
MOUNTS = {f"/{name}" for name in ("proc", "sys", "dev", "run")} | {
    f"/etc/{name}" for name in ("hosts", "hostname", "resolv.conf")
}

Tree = dict[str, tuple[object, ...]]


@pytest.fixture(scope="module")
def buildah() -> Iterator[list[str]]:
    """buildah with a storage of its own; our base image is there, too, by a path that buildah can
    make a name of."""
    folder = Path(tempfile.gettempdir(), f"lab-buildah-{os.getpid()}")
    folder.mkdir()
    (folder / "ours").symlink_to(store.folder())
    yield ["buildah", "--storage-driver=vfs", f"--root={folder}/root", f"--runroot={folder}/run"]
    shutil.rmtree(folder)


def theirs(buildah: list[str], context: Path, text: str) -> Path:
    """Build with buildah; return the image as an OCI layout."""
    ours = Path(buildah[-1].removeprefix("--runroot=")).with_name("ours")
    file, layout = context.parent / "Theirs", context.parent / "layout"
    file.write_text(text.replace("FROM busybox", f"FROM oci:{ours}:busybox"))
    options = ["--isolation=chroot", "--timestamp=0", "-t", "it", "-f", str(file), str(context)]
    for command in (["bud", "-q", *options], ["push", "-q", "it", f"oci:{layout}:it"]):
        done = subprocess.run([*buildah, *command], capture_output=True, text=True, timeout=100)
        assert done.returncode == 0, done.stderr
    return layout


def look(layout: Path, name: str) -> tuple[Tree, dict[str, Any]]:
    """Return the files and the settings of an image: its layers laid on each other."""

    def blob(digest: str) -> bytes:
        return (layout / "blobs" / digest.replace(":", "/")).read_bytes()

    index = json.loads((layout / "index.json").read_bytes())["manifests"]
    (found,) = (each for each in index if name in each["annotations"].values())
    manifest = json.loads(blob(found["digest"]))
    tree: Tree = {}
    for layer in manifest["layers"]:
        data = gzip.decompress(blob(layer["digest"]))
        with tarfile.open(fileobj=io.BytesIO(data)) as tar:
            lay(tar, tree)
    settings = json.loads(blob(manifest["config"]["digest"]))["config"]
    settings.get("Labels", {}).pop("io.buildah.version", None)
    return tree, {key: value for key, value in settings.items() if value}


def lay(tar: tarfile.TarFile, tree: Tree) -> None:
    """Lay a layer over what lower ones have."""
    new: Tree = {}
    for member in tar:
        above, _, name = f"/{member.name.strip('/')}".rpartition("/")
        if name.startswith(".wh."):
            gone = above if name == ".wh..wh..opq" else f"{above}/{name[4:]}"
            for path in [path for path in tree if f"{path}/".startswith(f"{gone}/")]:
                if path != above:
                    del tree[path]
        elif (path := f"{above}/{name}") not in MOUNTS:
            new[path] = new[f"/{member.linkname}"] if member.islnk() else told(tar, member)
    tree |= new


def told(tar: tarfile.TarFile, member: tarfile.TarInfo) -> tuple[object, ...]:
    file = tar.extractfile(member) if member.isreg() else None
    owner = member.uid, member.gid, oct(member.mode & 0o7777)
    return member.type, *owner, member.linkname, file.read() if file else b""


@pytest.fixture
def context(tmp_path: Path) -> Path:
    folder = tmp_path / "context"
    for path in ("a", "b", "d/e/f", "d/g", "d/h.pyc", "out/x", "out/sub/kept", "x.pyc"):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(path)
    (folder / "empty").mkdir()
    (folder / "a").chmod(0o755)
    (folder / "d").chmod(0o750)
    (folder / "link").symlink_to("b")
    (folder / "to-d").symlink_to("d")
    (folder / "d" / "nowhere").symlink_to("/nowhere")
    (folder / "a.tar").write_bytes(archive("d/f", "g"))
    (folder / "a.tgz").write_bytes(gzip.compress(archive("d/f", "g")))
    return folder


def compare(buildah: list[str], context: Path, text: str) -> None:
    layout = theirs(buildah, context, text)
    build_here(context, text)
    (their_files, their_settings), (files, settings) = (
        look(layout, "it"),
        look(store.folder(), "built"),
    )
    assert files == their_files
    assert settings == their_settings


CASES = {
    "where copies land": """FROM busybox
RUN echo old >/there; mkdir /real; ln -s /real /way; ln -s /there /file-link
WORKDIR /work
COPY a /
COPY a /new
COPY a /there
COPY a /file-link
COPY a /tmp
COPY a /way
COPY b /way/
COPY a b /deep/er/
COPY d /copied
COPY d/ /tmp
COPY d/e/f .
COPY a ../up
COPY ? /wild/
COPY d/*/f /wilder/
COPY ["a", "/with space"]
COPY link to-d /links/
COPY to-d/e /more
COPY empty /empty
COPY d d/e /both/
COPY out /copied
COPY --chmod=4640 a /mode/a
COPY --chmod=750 d /mode/d
COPY --chown=5:6 d /owned/deep/
COPY --chown=nobody a /owned/
COPY --chown=7 a /owned/by/
""",
    "archives": """FROM busybox
ADD a.tar /add
ADD a.tgz a /add2/
ADD a /add3
ADD d /add4
COPY a.tgz /copied
""",
    "words": r"""FROM busybox
ENV A=1 B="x y" C='$A' D=a\ b
ENV E=${A:-z}${N:-n}${A:+p}${N:+q} F="$B"
ENV H $A old   form
ENV I=\$A J="\$A" K='a"b' L="a'b" M=
ENV O=a=b P="a\"b" Q='x\y' R=x\y S="x\y" T=${A}b$A/c U="$A'$A'" V=$A$
LABEL one=$A two='$A' "three four"="$A \
  five" y\ z=1
WORKDIR "/a b"
WORKDIR $A/..
EXPOSE ${A}0
VOLUME /v$A /w
USER ${NOSUCH:-5}
CMD echo "a   b"   $A
""",
    "arguments": """ARG OUTER=busybox
FROM busybox
ARG OUTER
ARG A=1
ARG B=${A}2
ENV A=2
ARG A=3
RUN echo $OUTER $A $B >/seen
LABEL a=$A
""",
    "stages": """FROM busybox AS one
RUN echo 1 >/1; mkdir /d; echo x >/d/x; chown -R 5:6 /d; chmod 4755 /d/x; ln -s /1 /way
FROM busybox
COPY --from=one /1 /way /x/
COPY --from=one /d /d
COPY --from=0 --chown=9:10 /d /e
ENTRYPOINT ["/bin/echo"]
CMD a b
""",
    "what runs change": """FROM busybox
RUN mkdir /lab/n; touch -d @5 /old; chmod 1777 /lab; ln /etc/group /hard
RUN ["sh", "-c", "echo a \\
  >/b"]
RUN echo c \\
  # no part of it

  >/c
RUN rm -r /etc/passwd /lab && mkdir /lab && mkfifo /pipe
""",
}


@pytest.mark.parametrize("text", CASES.values(), ids=CASES.keys())
def test_both_make_the_same_image(buildah: list[str], context: Path, text: str) -> None:
    compare(buildah, context, text)


@pytest.mark.parametrize(
    "patterns",
    [
        "*\n!d",
        "d/e\n!d/e/f",
        "**/*.pyc",
        "out\n!out/sub/kept",
        "**\n!a",
        "*/e\n# a\n  b  ",
        "d/**\n[^b]",
        "**/f\nout/*\n!out/sub",
        "a/\n./d/../b",
        "*.pyc\n!x.pyc\nx*",
    ],
)
def test_both_leave_the_same_out(buildah: list[str], context: Path, patterns: str) -> None:
    (context / ".dockerignore").write_text(f"Containerfile\n{patterns}\n")
    compare(buildah, context, "FROM scratch\nCOPY . /\nCOPY . /deep/er/\n")
