"""Images between the lab and tools that aren't its own: skopeo, umoci, runc, Podman, Buildah.

Podman and Buildah keep all in the test's own folder, and run as any host lets them: with runc,
for crun refuses a host whose cgroups are v1 and v2 at once, and with limits that are no higher than
those that hold, for who lacks CAP_SYS_RESOURCE may not raise any.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

import labrt
from labrt import removal
from labrt.images import interchange, making, naming, store
from labrt.images.store import Image
from tests.labrt.conftest import needs_cgroups, needs_root
from tests.labrt.images import made

FORMATS = list(interchange.WRITERS)


def needs(tool: str) -> pytest.MarkDecorator:
    missing = shutil.which(tool) is None
    return pytest.mark.skipif(missing, reason=f"no {tool}; ./lab setup --test installs it")


def tool(*command: str | Path) -> str:
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    return done.stdout


def skopeo(*arguments: str) -> str:
    return tool("skopeo", "--insecure-policy", *arguments)


@pytest.fixture
def image() -> Iterator[Image]:
    """busybox and two layers more, one of them compressed with zstd."""
    base = store.resolve("busybox")
    with store.adding():
        more = [made.layer({"etc/one": b"1"}, kind) for kind in (store.LAYER_ZSTD, store.LAYER_TAR)]
        config = {**base.config, "config": {**base.config["config"], "Labels": {"a": "b"}}}
        yield making.image("web:v1", [*making.layers(base), *more], config)
    naming.remove("web:v1")


@pytest.fixture
def clean_names() -> Iterator[None]:
    """Take away the names that a test gives, and the containers of its own."""
    before = set(store.names())
    yield
    removal.remove_dead()
    for name in set(store.names()) - before:
        naming.remove(name)


def saved(tmp_path: Path, name: str, form: str) -> str:
    path = tmp_path / f"{form}.tar"
    interchange.save(str(path), [name], form)
    return f"{form}:{path}"


def layout(name: str) -> str:
    """How other tools are told of an image in the lab's store."""
    return f"oci:{store.folder()}:{name}"


PODMAN = ("--runtime", "runc", "--cgroup-manager", "cgroupfs", "--events-backend", "none")
LIMITS = ("--ulimit", "nofile=512:512", "--ulimit", "nproc=512:512")


class Engine:
    """Podman and Buildah with one store of their own, apart from the host's."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        store = ("--root", folder / "store", "--runroot", folder / "run", "--storage-driver", "vfs")
        self._buildah = ("buildah", *store)
        self._podman = ("podman", *store, "--tmpdir", folder / "tmp", *PODMAN)

    def podman(self, *arguments: str | Path) -> str:
        return tool(*self._podman, *arguments)

    def buildah(self, *arguments: str | Path) -> str:
        return tool(*self._buildah, *arguments)

    def run(self, image: str, *command: str) -> str:
        return self.podman("run", "--rm", "--network", "none", *LIMITS, image, *command)


@pytest.fixture
def engine() -> Iterator[Engine]:
    # Podman takes no path longer than 50 characters.
    folder = Path(tempfile.gettempdir(), f"lab-{os.urandom(4).hex()}")
    folder.mkdir()
    made = Engine(folder)
    yield made
    made.podman("rm", "--all", "--force")
    made.podman("rmi", "--all", "--force")
    shutil.rmtree(folder)


@needs("skopeo")
def test_skopeo_reads_the_store(image: Image) -> None:
    told = json.loads(skopeo("inspect", layout("web:v1")))
    assert told["Digest"] == image.digest
    assert told["Layers"] == [layer.digest for layer in image.layers]
    assert told["Labels"] == {"a": "b"}


@needs("skopeo")
@pytest.mark.parametrize("form", FORMATS)
def test_skopeo_copies_what_save_wrote(image: Image, form: str, tmp_path: Path) -> None:
    source = saved(tmp_path, "web:v1", form)
    skopeo("copy", source, f"oci:{tmp_path}/copy:it")  # reads and verifies every byte
    copy = json.loads(skopeo("inspect", "--config", f"oci:{tmp_path}/copy:it"))
    assert copy["config"] == image.config["config"]
    assert copy["rootfs"]["diff_ids"] == list(image.diff_ids)


@needs("skopeo")
@pytest.mark.parametrize("form", FORMATS)
def test_what_skopeo_wrote_is_loaded_and_runs(form: str, tmp_path: Path, clean_names: None) -> None:
    name = "registry.example/by-skopeo:v2"
    skopeo("copy", layout("busybox"), f"{form}:{tmp_path}/file:{name}")
    (entry,) = interchange.load(f"{tmp_path}/file")
    assert entry.name == name
    assert store.resolve(name).diff_ids == store.resolve("busybox").diff_ids
    assert labrt.output(name, ["echo", "hello"]) == "hello\n"


@needs("umoci")
@needs("runc")
@needs_root
@needs_cgroups
def test_umoci_unpacks_from_the_store_and_runc_runs_it(tmp_path: Path) -> None:
    tool("umoci", "unpack", "--image", f"{store.folder()}:busybox", tmp_path / "bundle")
    config = tmp_path / "bundle" / "config.json"
    spec = json.loads(config.read_text())
    assert spec["process"]["args"] == ["/lab/ready"]
    spec["process"] |= {"terminal": False, "args": ["echo", "hello"]}
    config.write_text(json.dumps(spec))
    command = ("runc", "--root", tmp_path / "state", "run", "--bundle", tmp_path / "bundle")
    assert tool(*command, f"lab-test-{os.getpid()}") == "hello\n"


@needs("podman")
@needs("runc")
@needs_root
@pytest.mark.parametrize("form", FORMATS)
def test_podman_runs_what_save_wrote(
    image: Image, form: str, tmp_path: Path, engine: Engine
) -> None:
    path = saved(tmp_path, "web:v1", form).partition(":")[2]
    engine.podman("load", "--input", path)
    assert engine.run("web:v1", "cat", "/etc/one") == "1"
    (told,) = json.loads(engine.podman("image", "inspect", "web:v1"))
    assert told["RootFS"]["Layers"] == list(image.diff_ids)


@needs("buildah")
@needs("podman")
@needs_root
@pytest.mark.parametrize("form", FORMATS)
def test_buildah_builds_on_our_image_and_we_run_it(
    form: str, tmp_path: Path, engine: Engine, clean_names: None
) -> None:
    (tmp_path / "context").mkdir()
    (tmp_path / "context" / "file").write_text("from the context\n")
    link = engine.folder / "images"  # Buildah makes a name of the path: no "-_" may be in it
    link.symlink_to(store.folder())
    (tmp_path / "Containerfile").write_text(
        f"FROM oci:{link}:busybox\n"
        "COPY file /file\n"
        "RUN rm /bin/wget && echo student:x:7:7::/:/bin/sh >>/etc/passwd && chown 7 /file\n"
        'CMD ["cat", "/file"]\n'
    )
    limits = ("--ulimit=nofile=1024:1024", "--ulimit=nproc=1000:1000")  # newer ones raise them
    building = ("bud", *limits, "--isolation", "chroot", "--layers", "--tag", "by-buildah")
    engine.buildah(*building, "--file", tmp_path / "Containerfile", tmp_path / "context")
    engine.buildah("push", "by-buildah", f"{form}:{tmp_path}/file:by-buildah:latest")
    (name, _), *_ = interchange.load(f"{tmp_path}/file")  # Buildah may give it two names
    assert store.resolve(name).diff_ids[0] == store.resolve("busybox").diff_ids[0]
    assert labrt.output(name, []) == "from the context\n"
    look = "stat -c %U /file; test -e /bin/wget || echo gone"
    assert labrt.output(name, ["sh", "-c", look]) == "student\ngone\n"


@pytest.fixture
def docker() -> Iterator[Callable[..., str]]:
    """Docker's client, with a daemon of this test's own that leaves the host's network alone."""
    folder = Path(tempfile.mkdtemp(prefix="lab-"))
    socket = f"unix://{folder}/socket"
    (folder / "config").write_text(json.dumps({"deprecated-key-path": f"{folder}/key"}))
    names = ("data-root", "exec-root", "pidfile", "config-file")
    places = [f"--{name}={folder}/{name.removesuffix('-file')}" for name in names]
    alone = ("--iptables=false", "--ip6tables=false", "--bridge=none", "--storage-driver=vfs")
    client = ("docker", "-H", socket)
    log = folder / "log"
    with (
        log.open("w") as stream,
        subprocess.Popen(["dockerd", *places, *alone, "-H", socket], stderr=stream) as daemon,
    ):
        try:
            deadline = time.monotonic() + 60
            while subprocess.run([*client, "version"], capture_output=True).returncode != 0:
                assert daemon.poll() is None and time.monotonic() < deadline, log.read_text()
                time.sleep(0.1)
            yield partial(tool, *client)
        finally:
            daemon.terminate()
    shutil.rmtree(folder)


@pytest.mark.slow
@needs("dockerd")
@needs_root
def test_docker_loads_what_save_wrote_and_we_what_it_saved(
    tmp_path: Path, docker: Callable[..., str], clean_names: None
) -> None:
    saved(tmp_path, "busybox", "docker-archive")  # Docker 20.10 knows no zstd
    docker("load", "--input", tmp_path / "docker-archive.tar")
    assert docker("run", "--rm", "--network", "none", "busybox", "echo", "hello") == "hello\n"
    docker("tag", "busybox", "by-docker")
    docker("save", "--output", tmp_path / "saved.tar", "by-docker")
    ((name, digest),) = interchange.load(f"{tmp_path}/saved.tar")
    assert name == "by-docker"
    assert store.resolve(digest).diff_ids == store.resolve("busybox").diff_ids
