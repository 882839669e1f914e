"""labrt build: from a Containerfile to an image, told as its user sees it."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import tarfile
import threading
from pathlib import Path
from typing import Any

import pytest

import labrt
from labrt import cgroups, state
from labrt.building import builder
from labrt.building.builder import Wish
from labrt.errors import LabError
from labrt.images import compression, making, store
from labrt.images.store import Image
from labrt.options import Options
from tests.labrt.conftest import needs_cgroups, needs_root
from tests.labrt.test_cli import ROOT, command, environment

pytestmark = pytest.mark.usefixtures("nothing_left")


@pytest.fixture
def context(tmp_path: Path) -> Path:
    folder = tmp_path / "context"
    folder.mkdir()
    return folder


def run_build(
    folder: Path, text: str, *options: str, status: int = 0, **variables: str
) -> subprocess.CompletedProcess[str]:
    """Build the image `built`."""
    (folder / "Containerfile").write_text(text)
    done = subprocess.run(
        command("build", "-t", "built", "--network", "none", *options, str(folder)),
        capture_output=True,
        text=True,
        timeout=60,
        env={**environment(), **variables},
        cwd=ROOT,
    )
    assert done.returncode == status, done.stderr
    return done


def build(folder: Path, text: str, *options: str, **variables: str) -> Image:
    done = run_build(folder, text, *options, **variables)
    image = store.resolve("built")
    assert done.stdout == f"{image.digest}\n"
    return image


def build_here(folder: Path, text: str) -> Image:
    """The same in this process, which has one thread: quicker."""
    (folder / "Containerfile").write_text(text)
    with open(os.devnull) as null:
        wish = Wish(folder, "built", options=Options(network="none"), stdin=null.fileno())
        return builder.build(wish)


def refusal(folder: Path, text: str, *options: str) -> str:
    """Build what can't be built; return the one line that tells why."""
    before = {name: store.resolve(name).digest for name in store.names()}
    done = run_build(folder, text, *options, status=125)
    assert {name: store.resolve(name).digest for name in store.names()} == before
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    last = done.stderr.splitlines()[-1]
    assert last.startswith("labrt: ")
    return last


def members(image: Image, number: int = -1) -> dict[str, tarfile.TarInfo]:
    """What is in one layer: name → member."""
    blob = image.layers[number]
    with (
        store.Verified(blob.digest) as stream,
        compression.reading(stream, blob.media_type) as plain,
        tarfile.open(fileobj=plain, mode="r|") as archive,
    ):
        return {member.name: member for member in archive}


def inside(image: Image, script: str) -> list[str]:
    return labrt.output(image.name, ["-c", script], entrypoint="/bin/sh").split()


# What an image is made of.


def test_an_image_from_nothing(context: Path) -> None:
    (context / "hello").write_text("hello")
    image = build(context, 'FROM scratch\nCOPY hello /\nCMD ["/hello"]\n')
    assert list(members(image)) == ["hello"]
    assert image.command == ("/hello",)
    assert len(image.layers) == 1
    assert image.config["os"] == "linux"


def test_every_setting_is_in_the_configuration(context: Path) -> None:
    text = """
        FROM busybox
        MAINTAINER somebody <a@b>
        ENV A=1 B="x y" C=$A
        ENV D the old form
        ENV A=2 E=$A
        LABEL one=1 "two words"='$A'
        LABEL one=2
        WORKDIR /made
        WORKDIR by/steps
        USER nobody:nobody
        EXPOSE 80 53/udp 8000-8001
        VOLUME /data /more
        VOLUME ["/with space"]
        STOPSIGNAL SIGINT
        HEALTHCHECK --interval=1m30s --timeout=2s --start-period=500ms --retries=3 CMD true || false
        ENTRYPOINT ["/bin/sh", "-c"]
        CMD echo $A
    """
    config = build(context, text).config
    assert config["author"] == "somebody <a@b>"
    assert config["config"] == {
        "Env": [making.PATH, "A=2", "B=x y", "C=", "D=the old form", "E=1"],
        "Labels": {"one": "2", "two words": "$A"},
        "WorkingDir": "/made/by/steps",
        "User": "nobody:nobody",
        "ExposedPorts": {"80/tcp": {}, "53/udp": {}, "8000/tcp": {}, "8001/tcp": {}},
        "Volumes": {"/data": {}, "/more": {}, "/with space": {}},
        "StopSignal": "SIGINT",
        "Healthcheck": {
            "Test": ["CMD-SHELL", "true || false"],
            "Interval": 90 * 10**9,
            "Timeout": 2 * 10**9,
            "StartPeriod": 5 * 10**8,
            "Retries": 3,
        },
        "Entrypoint": ["/bin/sh", "-c"],
        "Cmd": ["/bin/sh", "-c", "echo $A"],
    }


def test_an_entry_point_takes_the_bases_command_away_but_not_ones_own(context: Path) -> None:
    assert build(context, 'FROM busybox\nENTRYPOINT ["/bin/echo"]\n').command == ("/bin/echo",)
    text = 'FROM busybox\nCMD ["a"]\nENTRYPOINT ["/bin/echo"]\n'
    assert build(context, text).command == ("/bin/echo", "a")


def test_the_history_tells_every_instruction_and_counts_the_layers(context: Path) -> None:
    text = "FROM busybox\nENV A=1\nRUN echo x >/x\nWORKDIR /tmp\nRUN true\n"
    image = build(context, text)
    history = image.config["history"]
    made = [entry for entry in history if not entry.get("empty_layer")]
    assert len(made) == len(image.layers) == len(image.diff_ids) == 2
    assert [entry["created_by"] for entry in history[1:]] == text.splitlines()[1:]
    assert image.config["created"] == "1970-01-01T00:00:00Z"


def test_settings_alone_make_no_layer(context: Path) -> None:
    image = build(context, "FROM busybox\nENV A=1\nUSER nobody\n")
    assert image.layers == store.resolve("busybox").layers


# RUN.


def test_what_a_run_has_changed_is_one_layer(context: Path) -> None:
    text = "FROM busybox\nRUN echo new >/file && mkdir -m 700 /private && ln /file /private/same\n"
    image = build(context, text)
    assert len(image.layers) == 2
    found = members(image)
    assert list(found) == ["file", "private", "private/same"]
    assert found["private"].mode == 0o700
    assert (found["private/same"].type, found["private/same"].linkname) == (tarfile.LNKTYPE, "file")
    assert inside(image, "cat /private/same") == ["new"]


def test_what_a_run_has_deleted_is_named_so(context: Path) -> None:
    image = build(context, "FROM busybox\nRUN rm -r /etc/passwd /lab && mkdir /lab\n")
    assert set(members(image)) == {"etc", "etc/.wh.passwd", "lab", "lab/.wh..wh..opq"}


@needs_root
def test_owners_and_setuid_bits_are_the_containers(context: Path) -> None:
    text = "FROM busybox\nRUN echo x >/tool; chown 7:8 /tool; chmod 6755 /tool; ln -s tool /link\n"
    found = members(build(context, text))
    assert (found["tool"].uid, found["tool"].gid, found["tool"].mode) == (7, 8, 0o6755)
    assert (found["link"].uid, found["link"].gid) == (0, 0)


def test_mount_points_are_no_part_of_a_layer(context: Path) -> None:
    (context / "sh").write_bytes(Path("/bin/busybox").read_bytes())
    (context / "sh").chmod(0o755)
    text = 'FROM scratch\nCOPY sh /bin/sh\nRUN ["/bin/sh", "-c", "echo x >/dev/null"]\n'
    for network in ("none", "host"):
        image = build(context, text, "--network", network)
        assert len(image.layers) == 1
        assert image.config["history"][-1]["empty_layer"] is True
        forget()


def test_what_is_copied_there_is(context: Path) -> None:
    (context / "a").write_text("x")
    found = members(build(context, "FROM scratch\nCOPY a /dev/a\nCOPY a /etc/hosts\n"))
    assert set(found) == {"etc", "etc/hosts"}
    assert set(members(store.resolve("built"), 0)) == {"dev", "dev/a"}


def test_the_name_files_are_not_the_images(context: Path) -> None:
    text = "FROM busybox\nRUN echo evil >>/etc/hosts; echo own >/etc/own\n"
    assert set(members(build(context, text, "--network", "host"))) == {"etc", "etc/own"}


def test_without_a_network_the_name_files_are_the_images(context: Path) -> None:
    found = members(build(context, "FROM busybox\nRUN echo 10.0.0.1 there >/etc/hosts\n"))
    assert set(found) == {"etc", "etc/hosts"}


@needs_root
def test_a_run_sees_the_images_environment_user_and_folder(context: Path) -> None:
    text = """FROM busybox
ENV A=1
ARG B=2
WORKDIR /tmp
USER nobody
RUN echo $A $B $SOURCE_DATE_EPOCH $(id -u) $(pwd) $(hostname) >seen
"""
    assert inside(build(context, text), "cat /tmp/seen") == [
        "1",
        "2",
        "0",
        "65534",
        "/tmp",
        "build",
    ]


def test_the_exec_form_needs_no_shell(context: Path) -> None:
    image = build(context, 'FROM busybox\nRUN ["touch", "/a b", "$HOME"]\nWORKDIR /\n')
    assert set(members(image)) == {"a b", "$HOME"}


def test_another_shell(context: Path) -> None:
    text = 'FROM busybox\nSHELL ["/bin/busybox", "ash", "-ec"]\nRUN false; touch /x\n'
    assert "RUN false; touch /x: it ended with status 1" in refusal(context, text)


def test_documents(context: Path) -> None:
    text = """FROM busybox
ENV A=1
RUN <<EOF
echo one >/one
  echo $A >>/one
EOF
RUN cat <<X >/two && cat <<'Y' >>/two
$A
X
$A
Y
COPY <<F <<'G' /docs/
${A} 'quoted'
F
$A
G
COPY <<EOF /file
plain
EOF
"""
    image = build(context, text)
    seen = "cat /one /two /docs/F /docs/G /file"
    assert inside(image, seen) == ["one", "1", "1", "$A", "1", "'quoted'", "$A", "plain"]


def test_a_failing_run_tells_its_line_and_status(context: Path) -> None:
    text = "FROM busybox\nRUN true \\\n  && true\nRUN echo said; exit 7\n"
    done = run_build(context, text, status=125)
    line = "labrt: Containerfile:4: RUN echo said; exit 7: it ended with status 7"
    assert done.stderr.splitlines()[-2:] == ["said", line]


def test_a_missing_program_is_told_with_its_line(context: Path) -> None:
    assert "Containerfile:2: " in refusal(context, 'FROM busybox\nRUN ["nosuch"]\n')


# Variables.


def test_arguments_and_their_scopes(context: Path) -> None:
    text = """ARG BASE=nosuch
ARG OUTER=outer
FROM $BASE AS first
ARG OWN=default
ARG OUTER
ARG GIVEN=default
ARG UNSET
ENV SEEN="$OWN $OUTER $GIVEN [$UNSET]"
ARG SEEN=hidden
ENV AGAIN=$SEEN
FROM first
ENV INHERITED=$OWN
FROM first AS last
FROM busybox
ENV NOTHING="[$OWN$OUTER]"
COPY --from=last /etc/passwd /
"""
    options = ("--build-arg", "BASE=busybox", "--build-arg", "GIVEN=given")
    image = build(context, text, *options)
    assert image.env[1:] == ("NOTHING=[]",)
    env = build(context, text, *options, "--target", "last").env
    assert env[1:] == ("SEEN=default outer given []", "AGAIN=default outer given []")
    assert build(context, text, *options, "--target", "1").env[-1] == "INHERITED=default"


def test_an_argument_nobody_asks_for_is_told(context: Path) -> None:
    done = run_build(context, "FROM busybox\n", "--build-arg", "A=1", "--build-arg", "no_proxy=x")
    assert "no ARG asks for --build-arg A" in done.stderr
    assert "no_proxy" not in done.stderr


def test_a_proxy_is_seen_by_run_and_leaves_no_trace(context: Path) -> None:
    text = "FROM busybox\nRUN test $http_proxy = there\n"
    image = build(context, text, "--build-arg", "http_proxy=there")
    assert "there" not in json.dumps([image.config["config"], image.config["created"]])
    assert "CACHED" in run_build(context, text).stderr, "it doesn't count"


def test_an_arguments_value_may_come_from_the_environment(context: Path) -> None:
    text = "FROM busybox\nARG A\nENV B=$A\n"
    assert build(context, text, "--build-arg", "A", A="there").env[-1] == "B=there"


def test_the_platform_is_known(context: Path) -> None:
    text = "FROM --platform=$BUILDPLATFORM busybox\nARG TARGETARCH\nENV A=$TARGETARCH\n"
    image = build(context, text)
    assert image.env[-1] == f"A={image.config['architecture']}"


# Stages.


def test_files_come_from_stages_by_name_and_number_and_from_images(context: Path) -> None:
    text = """FROM busybox AS one
RUN echo 1 >/1
FROM one AS two
RUN echo 2 >/2
FROM busybox
COPY --from=one /1 /a
COPY --from=1 /1 /2 /b/
COPY --from=busybox /etc/pass* /c
"""
    image = build(context, text)
    assert inside(image, "cat /a /b/1 /b/2; head -n 1 /c | cut -d : -f 1") == [
        "1",
        "1",
        "2",
        "root",
    ]


def test_a_stage_may_be_called_as_the_image_it_begins_with(context: Path) -> None:
    text = "FROM busybox AS busybox\nENV A=1\nFROM busybox AS b\nFROM b AS c\nENV B=$A\n"
    assert build(context, text).env[-2:] == ("A=1", "B=1")


@needs_root
def test_a_copy_from_a_stage_keeps_owners(context: Path) -> None:
    text = """FROM busybox AS one
RUN mkdir /d; echo x >/d/f; chown -R 7:8 /d
FROM busybox
COPY --from=one /d /e
COPY --from=one --chown=nobody:9 /d /g
"""
    image = build(context, text)
    assert inside(image, "stat -c %u:%g /e/f /g/f /g") == ["7:8", "65534:9", "65534:9"]


def test_a_link_in_a_stage_leads_to_the_stages_own_files(context: Path) -> None:
    text = """FROM busybox AS one
RUN ln -s /etc/passwd /way; ln -s / /top; echo of-the-stage >/etc/passwd
FROM busybox
COPY --from=one /way /top/etc/passwd /seen/
"""
    assert inside(build(context, text), "cat /seen/way /seen/passwd") == ["of-the-stage"] * 2


def test_only_what_the_wanted_stage_needs_is_built(context: Path) -> None:
    text = "FROM busybox AS a\nENV A=1\nFROM nosuch AS b\nRUN false\nFROM a AS c\nENV C=1\n"
    assert build(context, text).env[-2:] == ("A=1", "C=1")
    assert build(context, text, "--target", "a").env[-1] == "A=1"
    assert "nosuch" in refusal(context, text, "--target", "b")


# COPY and ADD.


@pytest.mark.parametrize(
    ("copy", "found"),
    [
        ("a /", "/a"),
        ("a /new", "/new"),
        ("a /new/", "/new/a"),
        ("a /new/deep/b", "/new/deep/b"),
        ("a /tmp", "/tmp/a"),  # a folder that is there
        ("a /there", "/there"),  # in a file's place
        ("a b /new/", "/new/a /new/b"),
        ("d /new", "/new/e/f"),  # a folder's contents
        ("d/ /tmp", "/tmp/e/f"),
        ("d/e/f /new", "/new"),
        (". /new", "/new/a /new/d/e/f"),
        ("./d/../a /new", "/new"),
        ("/a /new", "/new"),
        ("a rel", "/work/rel"),
        ("a .", "/work/a"),
        ("a ./", "/work/a"),
        ("a ../up", "/up"),
        ("? /new/", "/new/a /new/b"),
        ("[^b] /new", "/new/e/f"),
        ("d/*/f /new/", "/new/f"),
        ('["with space", "/new file"]', '"/new file"'),
        ("with\\ space /new", "/new"),
        ("'with space' /new", "/new"),
        ("${NAME} /$NAME/", "/a/a"),
        ("link /new", "/new"),  # a link that is named is followed
        ("to-d /new", "/new/e/f"),
        ("to-d/e /new", "/new/f"),
    ],
)
def test_where_a_copy_lands(context: Path, copy: str, found: str) -> None:
    (context / "d" / "e").mkdir(parents=True)
    for name in ("a", "b", "d/e/f", "with space"):
        (context / name).write_text("x")
    if copy.startswith("[^b]"):
        (context / "a").unlink()
    (context / "link").symlink_to("b")
    (context / "to-d").symlink_to("d")
    (context / ".dockerignore").write_text("Containerfile\n.dockerignore\n")
    text = f"FROM busybox\nRUN echo old >/there\nENV NAME=a\nWORKDIR /work\nCOPY {copy}\n"
    image = build_here(context, text)
    assert inside(image, f"cat {found}") == ["x" * len(found.split(" /"))]
    assert all(member.mtime == 0 for member in members(image).values())


def test_a_nested_link_stays_a_link(context: Path) -> None:
    (context / "d").mkdir()
    (context / "d" / "link").symlink_to("/nowhere")
    found = members(build(context, "FROM scratch\nCOPY d /d/\n"))
    assert found["d/link"].linkname == "/nowhere"


@needs_root
def test_owner_and_mode(context: Path) -> None:
    (context / "d").mkdir()
    (context / "d" / "f").write_text("x")
    os.chown(context / "d" / "f", 5, 6)
    (context / "d" / "f").chmod(0o4755)
    text = """FROM busybox
RUN echo "app:x:7:8::/:/bin/sh" >>/etc/passwd; echo "app:x:8:" >>/etc/group
ENV WHO=app
COPY d /plain
COPY --chown=$WHO --chmod=0640 d/f /f
COPY --chown=app:root d /theirs
COPY --chown=9 --chmod=700 d /nine/
"""
    image = build(context, text)
    seen = "stat -c %u:%g:%a /plain/f /f /theirs /theirs/f /nine /nine/f"
    assert inside(image, seen) == [
        "0:0:4755",
        "7:8:640",
        "7:0:755",
        "7:0:4755",
        "9:9:755",
        "9:9:700",
    ]


def archive(*names: str, link: str = "") -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        for name in names:
            member = tarfile.TarInfo(name)
            member.size, member.uid, member.mtime, member.uname = 1, 7, 5, "me"
            if link:
                member.type, member.linkname, member.size = tarfile.SYMTYPE, link, 0
            tar.addfile(member, io.BytesIO(b"x"))
    return stream.getvalue()


@needs_root
def test_add_unpacks_archives_and_copy_does_not(context: Path) -> None:
    import bz2
    import gzip
    import lzma

    import zstandard

    plain = archive("./d/f")
    packed = {
        "a.tar": plain,
        "a.tgz": gzip.compress(plain),
        "a.bz2": bz2.compress(plain),
        "a.xz": lzma.compress(plain),
        "a.zst": zstandard.compress(plain),
        "no.gz": gzip.compress(b"no archive"),
        "empty": b"",
    }
    for name, data in packed.items():
        (context / name).write_bytes(data)
    adds = "".join(f"ADD {name} /to/{name}\n" for name in packed)
    image = build(context, f"FROM busybox\n{adds}COPY a.tar /copied\n")
    archives = " ".join(f"/to/{name}/d/f" for name in packed if name.startswith("a"))
    assert inside(image, f"stat -c %u {archives}") == ["7"] * 5
    assert members(image, 1)["to/a.tar/d/f"].mtime == 0
    assert inside(image, "wc -c </copied; wc -c </to/empty; zcat /to/no.gz") == [
        str(len(plain)),
        "0",
        "no",
        "archive",
    ]


@pytest.mark.parametrize("names", [("../evil",), ("a/../../evil",)])
def test_an_archive_stays_where_it_is_added(context: Path, names: tuple[str, ...]) -> None:
    (context / "a.tar").write_bytes(archive(*names))
    assert "leads out of the folder" in refusal(context, "FROM busybox\nADD a.tar /tmp/\n")


def test_a_link_of_the_image_leads_to_its_own_files(context: Path, tmp_path: Path) -> None:
    """The target is looked up in the root: an image whose link leads up can't reach the host."""
    (context / "file").write_text("x")
    outside = tmp_path / "outside"
    outside.mkdir()
    text = f"""FROM busybox
RUN mkdir -p {outside} && ln -s ../../../../..{outside} /way && ln -s {outside}/new /file
COPY file /way/
COPY file /file
"""
    image = build(context, text)
    assert list(outside.iterdir()) == []
    assert inside(image, f"cat {outside}/file; readlink /file || echo :plain") == ["x:plain"]


@pytest.mark.parametrize(
    ("step", "said"),
    [
        ("COPY nosuch /", "there is no 'nosuch'"),
        ("COPY *.nosuch /", "nothing matches '*.nosuch'"),
        ("COPY ../outside /", "'../outside' leads out of the context"),
        ("COPY d/../../outside /", "leads out of the context"),
        ("COPY way /", "'way' leads out of the context"),
        ("COPY folder/outside /", "leads out of the context"),
        ("COPY up/outside /", "leads out of the context"),
        ("COPY secret /", "is excluded by .dockerignore"),
        ("COPY a b /file", "needs a target that ends with /"),
        ("COPY a /etc/passwd/", "ENOTDIR"),
        ("COPY a /etc/passwd/b", "ENOTDIR"),
        ("COPY a /lost/", "EEXIST"),
        ("COPY d /bin/sh", "ENOTDIR"),
        ("COPY a", "takes sources and a target"),
        ("COPY --chown=nosuch a /", "no such entry|no other id"),
        ("COPY --chmod=u+x a /", "--chmod=u+x is not supported"),
        ("COPY --chown=0:70000 a /", "ids from 0 to 65535|no other id"),
        ("COPY --from=nosuch /a /", "find the image 'nosuch'"),
        ("COPY --from=2 /a /", "find the image '2'"),
        ("COPY --from=later /a /", "doesn't come before"),
        ("COPY --from=busybox /nosuch /", "there is no 'nosuch'"),
        ("ADD https://localhost/x /", "only local files"),
        ("ADD git@localhost:x /", "only local files"),
        ("COPY ${nosuch:?is asked for} /", "is asked for"),
        ("COPY 'a /", "the closing ' is missing"),
    ],
)
def test_a_copy_that_cannot_be_is_refused_with_its_line(
    context: Path, tmp_path: Path, step: str, said: str
) -> None:
    (tmp_path / "outside").write_text("of the host")
    (context / "d").mkdir()
    for name in ("a", "b", "secret"):
        (context / name).write_text("x")
    (context / "way").symlink_to(tmp_path / "outside")
    (context / "folder").symlink_to(tmp_path)
    (context / "up").symlink_to("..")
    (context / ".dockerignore").write_text("secret")
    lines = ["FROM busybox", "RUN ln -s /no/where /lost", step, "FROM scratch AS later"]
    with pytest.raises(LabError) as error:
        build_here(context, "\n".join([*lines, "COPY --from=0 / /"]))
    told = str(error.value)
    assert told.startswith("Containerfile:3: ")
    assert any(words in told for words in said.split("|"))
    assert "\n" not in told


def test_what_is_ignored_is_not_copied(context: Path) -> None:
    for path in ("a.py", "a.pyc", "d/b.pyc", "d/kept", "out/x", "out/kept"):
        (context / path).parent.mkdir(exist_ok=True)
        (context / path).write_text("x")
    (context / ".dockerignore").write_text("**/*.pyc\nout\n!out/kept\nContainerfile\n.docker*\n")
    found = members(build(context, "FROM scratch\nCOPY . /\n"))
    assert list(found) == ["a.py", "d", "d/kept", "out", "out/kept"]


# The same input, the same image.

REPRODUCED = """FROM busybox AS one
WORKDIR /app
COPY . .
RUN sleep 0.1; mkdir /out; for i in 3 1 2; do echo $i >/out/$i; done; hostname >/out/name
FROM busybox
LABEL a=1 b=2
COPY --from=one /out /out
ADD a.tar /unpacked/
RUN date >/date
"""


def elsewhere(folder: Path, home: Path, **variables: str) -> str:
    """Build in another LAB_HOME; return the digest."""
    own = {"LAB_HOME": str(home), "LAB_RUN": f"{home}-run", **variables}
    made = [*command("image", "base", "busybox")]
    subprocess.run(made, env={**environment(), **own}, check=True, capture_output=True)
    return run_build(folder, REPRODUCED.replace("date >", "echo >"), **own).stdout.strip()


def test_two_homes_build_the_same_image(tmp_path: Path) -> None:
    digests = []
    for name in ("one", "two"):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "b").write_text(name[:0])
        (folder / "a").write_text("a")
        (folder / "a.tar").write_bytes(archive("z", "y"))
        os.utime(folder / "a", (len(digests), len(digests)))
        digests.append(elsewhere(folder, tmp_path / f"home-{name}", TZ="UTC"))
    assert digests[0] == digests[1]
    later = elsewhere(folder, tmp_path / "home-two", SOURCE_DATE_EPOCH="1000000000")
    assert later != digests[0]
    for name in ("one", "two"):
        state.remove_tree(tmp_path / f"home-{name}")


def test_the_epoch_is_the_time_of_everything_that_is_later(context: Path) -> None:
    (context / "new").write_text("x")
    text = "FROM busybox\nRUN touch -d @5 /old; touch /new\nCOPY new /copied\n"
    image = build(context, text, SOURCE_DATE_EPOCH="1000000000")
    assert image.config["created"] == image.config["history"][-1]["created"]
    assert image.config["created"] == "2001-09-09T01:46:40Z"
    times = {name: member.mtime for name, member in members(image, 1).items()}
    assert times == {"new": 10**9, "old": 5}
    assert members(image)["copied"].mtime == 10**9


# The cache.


def forget() -> None:
    for file in (store.folder() / "cache").glob("*"):
        file.unlink()


def cached(done: subprocess.CompletedProcess[str]) -> list[str]:
    return [line.split()[2] for line in done.stderr.splitlines() if line.endswith("  CACHED")]


STEPS = """FROM busybox
WORKDIR /app
RUN echo lib >/lib
COPY app.py /app/
RUN cp app.py copy
"""


def test_what_has_not_changed_is_not_done_again(context: Path) -> None:
    forget()
    (context / "app.py").write_text("one")
    first = build(context, STEPS)
    again = run_build(context, STEPS)
    assert cached(again) == ["WORKDIR", "RUN", "COPY", "RUN"]
    assert again.stdout.strip() == first.digest
    (context / "app.py").write_text("two")
    changed = run_build(context, STEPS)
    assert cached(changed) == ["WORKDIR", "RUN"]
    image = store.resolve("built")
    assert image.layers[:3] == first.layers[:3]
    assert len(set(image.layers) - set(first.layers)) == 2


@pytest.mark.parametrize(
    ("change", "known"),
    [
        (lambda folder: os.utime(folder / "app.py", (5, 5)), True),
        (lambda folder: (folder / "other").write_text("x"), True),
        (lambda folder: (folder / "app.py").chmod(0o755), False),
        (lambda folder: (folder / "app.py").write_text("xone"), False),
    ],
)
def test_contents_and_modes_count_and_times_do_not(context: Path, change: Any, known: bool) -> None:
    (context / "app.py").write_text("one")
    (context / "app.py").chmod(0o644)
    build(context, STEPS)
    change(context)
    assert ("COPY" in cached(run_build(context, STEPS))) is known


@pytest.mark.parametrize(
    "before",
    ["ENV A=1", "ARG A=1", "USER 0", "WORKDIR /tmp", 'SHELL ["/bin/ash", "-c"]', "RUN >/x"],
)
def test_a_run_is_done_again_where_what_it_sees_has_changed(context: Path, before: str) -> None:
    build(context, "FROM busybox\nRUN echo 1 >/tmp/1\n")
    assert cached(run_build(context, f"FROM busybox\n{before}\nRUN echo 1 >/tmp/1\n"))[1:] == []


def test_a_step_that_makes_the_same_again_leaves_the_next_ones_valid(context: Path) -> None:
    build(context, "FROM busybox\nRUN echo 1 >/1\nRUN echo 2 >/2\n")
    done = run_build(context, "FROM busybox\nRUN  echo 1   >/1\nRUN echo 2 >/2\n")
    assert cached(done) == ["RUN"]


def test_without_the_cache_all_is_done_anew(context: Path) -> None:
    (context / "app.py").write_text("one")
    first = build(context, STEPS)
    done = run_build(context, STEPS, "--no-cache")
    assert cached(done) == []
    assert done.stdout.strip() == first.digest


def test_a_lost_layer_is_made_again(context: Path) -> None:
    (context / "app.py").write_text("one")
    image = build(context, STEPS)
    store.blob_path(image.layers[2].digest).unlink()
    done = run_build(context, STEPS)
    assert cached(done) == ["WORKDIR", "COPY", "RUN"]
    assert done.stdout.strip() == image.digest


def test_a_damaged_entry_is_as_none(context: Path) -> None:
    build(context, "FROM busybox\nRUN echo 3 >/3\n")
    for file in (store.folder() / "cache").iterdir():
        file.write_text("{")
    assert cached(run_build(context, "FROM busybox\nRUN echo 3 >/3\n")) == []


def test_builds_at_the_same_time(context: Path) -> None:
    forget()
    (context / "app.py").write_text("together")
    (context / "Containerfile").write_text(STEPS)
    processes = [
        subprocess.Popen(
            command("build", "-t", f"built{n}", "--network", "none", str(context)),
            env=environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        for n in range(3)
    ]
    told = [process.communicate(timeout=60) for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0], told
    assert len({out for out, _ in told}) == 1


# What is refused, and what is left.


@pytest.mark.parametrize(
    ("step", "said"),
    [
        ("EXPOSE http", "'http' is no port"),
        ("EXPOSE 0", "'0' is no port"),
        ("EXPOSE 9-8", "'9-8' is no port"),
        ("STOPSIGNAL SIGNOSUCH", "there is none"),
        ("SHELL /bin/sh", "takes a JSON array"),
        ("HEALTHCHECK true", "takes NONE, or CMD"),
        ("HEALTHCHECK --interval=5 CMD true", "--interval=5 is not a time"),
        ("HEALTHCHECK --retries=x CMD true", "is not a number"),
        ("ENV A", "takes NAME=VALUE"),
        ("ENV A=1 B", "'B' is not NAME=VALUE"),
        ("LABEL =1", "'=1' is not NAME=VALUE"),
        ("ARG 1=1", "'1' is no name"),
        ("USER ${A#x}", "not supported"),
        ("RUN --network=none true", "--network is not supported"),
        ("RUN <<EOF\n#!/bin/sh\nEOF", "not supported"),
        ("RUN touch /.wh.x", "means a deletion"),
        ("USER nosuch\nRUN true", "no such entry"),
    ],
)
def test_what_is_none_is_refused_with_its_line(context: Path, step: str, said: str) -> None:
    with pytest.raises(LabError) as error:
        build_here(context, f"FROM busybox\n{step}\n")
    told = str(error.value)
    assert told.startswith(f"Containerfile:{2 + step.startswith('USER nosuch')}: ")
    assert said in told
    assert "\n" not in told


@pytest.mark.parametrize(
    ("text", "options", "said"),
    [
        ("FROM nosuch\n", (), "Containerfile:1: FROM nosuch: find the image 'nosuch'"),
        ("FROM --platform=plan9/mips busybox\n", (), "not this machine's platform"),
        ("FROM busybox\n", ("--target", "nosuch"), "build the stage 'nosuch': there is none"),
        ("FROM busybox\n", ("-t", "UPPER CASE"), "read the image name"),
        ("FROM busybox\n", ("-t", ""), "read the image name"),
        ("FROM busybox\n", ("--build-arg", "=x"), "it has no name"),
        ("FROM busybox\n", ("-f", "/no/such"), "ENOENT"),
        ("FROM busybox\nRUN true\n", ("--memory", "x"), "not a size"),
        ("", (), "no FROM is in it"),
    ],
)
def test_a_wish_that_is_none_is_one_line(
    context: Path, text: str, options: tuple[str, ...], said: str
) -> None:
    forget()
    assert said in refusal(context, text, *options)


def test_a_missing_folder_and_a_missing_file_are_told(tmp_path: Path) -> None:
    for folder, said in ((tmp_path / "nosuch", "there is no such folder"), (tmp_path, "is in it")):
        done = subprocess.run(
            command("build", "-t", "x", str(folder)),
            capture_output=True,
            text=True,
            env=environment(),
        )
        assert (done.returncode, done.stderr.count("\n")) == (125, 1)
        assert said in done.stderr


def test_a_dockerfile_will_do(context: Path) -> None:
    (context / "Dockerfile").write_text("FROM busybox\nENV A=docker\n")
    done = subprocess.run(command("build", "-t", "built", str(context)), env=environment())
    assert done.returncode == 0
    assert store.resolve("built").env[-1] == "A=docker"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_it_leaves_nothing(context: Path, home: Path, number: int) -> None:
    (context / "Containerfile").write_text("FROM busybox\nRUN echo up; sleep 60\n")
    before = store.names()
    with subprocess.Popen(
        command("build", "-t", "interrupted", "--network", "none", str(context)),
        stderr=subprocess.PIPE,
        env=environment(),
        text=True,
        start_new_session=True,
    ) as process:
        assert process.stderr is not None
        assert any(line == "up\n" for line in process.stderr)
        process.send_signal(number)
        assert process.wait(20) == 130
        assert "interrupted" in process.stderr.read()
    assert store.names() == before
    assert not any((home / "images" / "blobs" / "sha256").glob(".new-*"))


@needs_cgroups
@pytest.mark.parametrize("status", [0, 1])
def test_it_leaves_no_cgroup_not_even_the_top(
    context: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    monkeypatch.setenv("LAB_HOME", str(tmp_path / "home"))
    made = command("image", "base", "busybox")
    subprocess.run(made, env=environment(), check=True, capture_output=True)
    text = f"FROM busybox\nRUN exit {status}\n"
    run_build(context, text, "--memory", "64m", status=125 if status else 0)
    assert [base for base in cgroups.layout().folders if (base / cgroups.top()).exists()] == []


def test_a_failed_build_leaves_no_files_aside(context: Path, home: Path) -> None:
    refusal(context, "FROM busybox\nRUN touch /.wh.x\n")
    assert not any((home / "images" / "blobs" / "sha256").glob(".new-*"))
    assert not any((home / "containers").iterdir())


# From Python.


def test_the_library_builds_from_a_process_with_threads(
    context: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (context / "Containerfile").write_text("FROM busybox\nARG A\nRUN echo $A >/seen\n")
    stop = threading.Event()
    thread = threading.Thread(target=stop.wait)
    thread.start()
    try:
        image = labrt.build(
            context, "threaded", build_args={"A": "x"}, network="none", ulimit=["nofile=64"]
        )
        assert image == store.resolve("threaded")
        assert labrt.output("threaded", ["cat", "/seen"]) == "x\n"
        assert "[0 3/3] RUN" in capsys.readouterr().err
        with pytest.raises(LabError, match="Containerfile:1: .*nosuch"):
            (context / "Containerfile").write_text("FROM nosuch\n")
            labrt.build(context, "threaded")
    finally:
        stop.set()
        thread.join()
