"""labrt image and its other spellings: what they print, and one line for what is wrong."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
from pathlib import Path

import pytest

from labrt.images import making, store
from labrt.images.store import Image
from tests.labrt.images import made
from tests.labrt.test_cli import command, environment, labrt


@pytest.fixture(autouse=True)
def one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Image:
    """An image of two layers in a store of its own."""
    monkeypatch.setenv("LAB_HOME", str(tmp_path / "home"))
    history = [{"created_by": "COPY base"}, {"created_by": "CMD x", "empty_layer": True}]
    return made.image("one", {"base": b"x" * 9}, {"file": b"1"}, history=history)


def said(arguments: str) -> str:
    done = labrt(*shlex.split(arguments))
    assert (done.stderr, done.returncode) == ("", 0)
    return done.stdout


def test_a_spelling_of_docker_is_the_same_command() -> None:
    assert said("images") == said("image ls")
    assert said("history one") == said("image history one")
    assert labrt("rmi", "nosuch").stderr == labrt("image", "rm", "nosuch").stderr


def test_ls_lists_names_digests_sizes_and_layers(one: Image) -> None:
    said("tag one two:v1")
    size = sum(layer.size for layer in one.layers)
    short = one.digest[7:19]
    rows = [line.split() for line in said("images").splitlines()]
    assert rows == [
        ["NAME", "DIGEST", "SIZE", "LAYERS"],
        ["one", short, str(size), "B", "2"],
        ["two:v1", short, str(size), "B", "2"],
    ]
    assert said("images -q") == f"{one.digest}\n"
    listed = [json.loads(line) for line in said("images --json").splitlines()]
    assert listed[0] == {"name": "one", "digest": one.digest, "size": size, "layers": 2}


def test_ls_tells_of_a_damaged_image_and_lists_the_others() -> None:
    bad = made.image("bad", {"other": b"x"}, author="somebody")
    store.blob_path(bad.digest).write_bytes(b"{}")
    done = labrt("images")
    assert done.returncode == 1
    assert "one" in done.stdout
    assert done.stderr.count("\n") == 1
    assert "bad" in done.stderr
    assert said("rmi bad") == "bad\n"


def test_inspect_tells_all_in_dockers_words(one: Image) -> None:
    (told,) = json.loads(said(f"image inspect {one.digest[7:19]}"))
    assert told["Digest"] == one.digest
    assert told["Names"] == ["one"]
    assert told["RootFS"] == {"Type": "layers", "Layers": list(one.diff_ids)}
    assert (told["Os"], told["Architecture"]) == ("linux", "amd64")
    assert told["Containers"] == []


def test_history_has_the_newest_first(one: Image) -> None:
    lower, upper = (layer.digest[7:19] for layer in one.layers)
    rows = [line.split() for line in said("history one").splitlines()]
    assert [row[0] for row in rows] == ["LAYER", upper, "<none>", lower]
    newest, *_, oldest = [json.loads(line) for line in said("history --json one").splitlines()]
    assert newest["digest"] == one.layers[1].digest
    assert (oldest["created_by"], oldest["digest"]) == ("COPY base", one.layers[0].digest)


def test_a_hostile_history_can_not_write_to_the_terminal(one: Image) -> None:
    config = {**one.config, "history": [{"created_by": "\x1b[31m" + "x" * 99}]}
    making.image("hostile", making.layers(one), config)
    assert "\x1b" not in said("history --no-trunc hostile")
    assert "x" * 99 in said("history --no-trunc hostile")
    assert "x" * 99 not in said("history hostile")


def test_diff_tells_files_bytes_and_layers(one: Image) -> None:
    made.image("two", {"base": b"x" * 9}, {"file": b"22", "new": b"333"})
    lines = said("image diff one two").splitlines()
    assert lines[:2] == ["C 'file' 1 → 2", "A 'new' 0 → 3"]
    assert lines[2] == "2 files differ: 5 B added or changed, 0 B deleted"
    told = json.loads(said("image diff --json one two"))
    assert [change["path"] for change in told["changes"]] == ["file", "new"]
    assert [layer["digest"] for layer in told["shared"]] == [one.layers[0].digest]


def test_gc_tells_what_it_frees_and_a_dry_run_frees_nothing() -> None:
    said("rmi one")
    would = said("image gc --dry-run").splitlines()
    done = said("image gc").splitlines()
    assert would[:-1] == done[:-1]
    assert [line.split()[0] for line in done[:-1]] == ["blob"] * 4
    assert done[-1].endswith("freed")
    assert said("image gc") == "0 B freed\n"


def test_load_and_import_tell_what_they_took_in(one: Image, tmp_path: Path) -> None:
    said(f"save -o {tmp_path}/file one")
    assert said(f"load -i {tmp_path}/file") == f"one {one.digest}\n"
    (tmp_path / "root.tar").write_bytes(made.archive({"bin": None, "bin/sh": b"#!"}))
    digest = said(f"import -c 'CMD /bin/sh' {tmp_path}/root.tar mine").strip()
    assert store.resolve("mine").digest == digest


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ("image", "VERB"),
        ("image nosuch", "nosuch"),
        ("image inspect nosuch", "no such image"),
        ("history nosuch", "no such image"),
        ("tag nosuch new", "no such image"),
        ("tag one ../x", "image name"),
        ("image diff one nosuch", "no such image"),
        ("save nosuch", "no such image"),
        ("save --format tar one", "--format"),
        ("save -o /no/such/folder/file one", "ENOENT"),
        ("load -i /no/such/file", "ENOENT"),
        ("load -i /dev/null", "no tar archive"),
        ("load -i /proc", "EISDIR"),
        ("import /no/such/file mine", "ENOENT"),
        ("import /dev/null mine", "no tar archive"),
        ("import /dev/null ../x", "image name"),
        ("import -c RUN /dev/null mine", "none of CMD"),
        ("image base nosuch", "nosuch"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(arguments: str, text: str) -> None:
    done = labrt(*shlex.split(arguments))
    assert (done.returncode, done.stdout) == (125, "")
    assert done.stderr.count("\n") == 1
    assert text in done.stderr


@pytest.mark.parametrize("arguments", ["save one", "load", "import - mine"])
def test_archives_do_not_go_to_a_terminal_or_come_from_one(arguments: str) -> None:
    leader, terminal = os.openpty()
    try:
        done = subprocess.run(
            command(*arguments.split()),
            stdin=terminal,
            stdout=terminal,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
            env=environment(),
        )
    finally:
        os.close(leader)
        os.close(terminal)
    assert done.returncode == 125
    assert "is a terminal" in done.stderr
