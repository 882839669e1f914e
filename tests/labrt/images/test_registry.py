"""labrt/images/registry.py: an image goes to a real registry and comes back the same."""

from __future__ import annotations

import hashlib
import json
import platform
import subprocess
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest

from labrt.errors import LabError
from labrt.images import base, layers, making, registry, store
from labrt.images.store import LAYER_TAR, LAYER_ZSTD, Descriptor, Image
from labrt.images.transfer import Progress
from tests.labrt.images import servers
from tests.labrt.images.conftest import image, needs_registry

pytestmark = [needs_registry, pytest.mark.usefixtures("machine")]
Machine = Callable[[str], None]


class Ways(Progress):
    """What became of each blob."""

    def __init__(self) -> None:
        self.ways: dict[str, str] = {}

    def end(self, blob: Descriptor, how: str) -> None:
        self.ways[blob.digest] = how


def skopeo(*arguments: str) -> str:
    done = subprocess.run(["skopeo", *arguments], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


def put(address: str, repository: str, tag: str, media_type: str, content: object) -> Descriptor:
    """Put a manifest into a registry without asking the lab; return its descriptor."""
    data = json.dumps(content).encode()
    digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
    url = f"http://{address}/v2/{repository}/manifests/{tag or digest}"
    headers = {"Content-Type": media_type}
    request = urllib.request.Request(url, data=data, headers=headers, method="PUT")
    with urllib.request.urlopen(request, timeout=10) as answer:
        assert answer.status == 201
    return Descriptor(media_type, digest, len(data))


class TestThereAndBack:
    def test_the_digest_is_the_same_and_the_layers_unpack(
        self, plain: str, machine: Machine
    ) -> None:
        made = base.ensure("busybox")
        pushed = registry.push(made, f"{plain}/team/busybox:v1")
        assert pushed.digest == made.digest
        machine("second")
        pulled = registry.pull(f"{plain}/team/busybox:v1")
        assert (pulled.name, pulled.digest) == (f"{plain}/team/busybox:v1", made.digest)
        (folder,) = layers.unpacked(store.resolve(f"{plain}/team/busybox:v1"))
        assert (folder / "bin" / "busybox").exists()

    def test_somebody_elses_tool_finds_it_right(self, plain: str) -> None:
        made = image("app", 3000, 200, User="me")
        registry.push(made, f"{plain}/for/skopeo")
        found = json.loads(
            skopeo("inspect", "--tls-verify=false", f"docker://{plain}/for/skopeo:latest")
        )
        assert found["Digest"] == made.digest
        assert found["Layers"] == [layer.digest for layer in made.layers]

    @pytest.mark.parametrize("media_type", [LAYER_TAR, LAYER_ZSTD])
    def test_layers_of_any_compression(self, plain: str, machine: Machine, media_type: str) -> None:
        made = image("app", 5000, media_type=media_type)
        registry.push(made, f"{plain}/compressed:{media_type[-3:]}")
        machine("second")
        assert registry.pull(f"{plain}/compressed:{media_type[-3:]}").layers == made.layers

    def test_an_image_by_its_digest(self, plain: str, machine: Machine) -> None:
        made = image("app", 100)
        registry.push(made, f"{plain}/by-digest@{made.digest}")
        machine("second")
        pulled = registry.pull(f"{plain}/by-digest@{made.digest}")
        assert store.resolve(f"{plain}/by-digest@{made.digest}") == pulled

    def test_an_image_under_its_own_name(self, plain: str) -> None:
        made = image(f"{plain}/own/name:v2", 100)
        assert registry.push(made).reference == f"{plain}/own/name:v2"

    def test_an_image_of_dockers_form_comes_as_it_is(self, plain: str, machine: Machine) -> None:
        registry.push(image("app", 100), f"{plain}/oci")
        source, target = f"docker://{plain}/oci", f"docker://{plain}/docker"
        insecure = ("--src-tls-verify=false", "--dest-tls-verify=false")
        skopeo("copy", *insecure, "--format=v2s2", source, target)
        told = skopeo("inspect", "--raw", "--tls-verify=false", target)
        machine("second")
        pulled = registry.pull(f"{plain}/docker")
        assert store.get(pulled.digest).decode() == told
        assert "vnd.docker.distribution.manifest.v2" in told
        assert registry.push(pulled, f"{plain}/docker-again").digest == pulled.digest
        (entry,) = json.loads((store.folder() / "index.json").read_text())["manifests"]
        assert entry["mediaType"] == json.loads(told)["mediaType"]


class TestWhatIsThereIsNotSentAgain:
    def test_a_push_counts_what_it_sends_and_what_it_spares(self, plain: str) -> None:
        first = image("first", 4000)
        blobs = sum(layer.size for layer in first.layers) + _config_size(first)
        manifest = len(store.get(first.digest))
        done = registry.push(first, f"{plain}/counted/one")
        assert (done.sent, done.mounted, done.skipped) == (blobs + manifest, 0, 0)
        done = registry.push(first, f"{plain}/counted/one:again")
        assert (done.sent, done.mounted, done.skipped) == (manifest, 0, blobs)
        store.tag(f"{plain}/counted/one", first.digest)
        done = registry.push(first, f"{plain}/counted/other")
        assert (done.sent, done.mounted, done.skipped) == (manifest, blobs, 0)

    def test_only_the_changed_layer_is_sent(self, plain: str) -> None:
        old, new = image("old", 9000, 10), image("new", 9000, 20)
        registry.push(old, f"{plain}/changed")
        done = registry.push(new, f"{plain}/changed")
        assert done.skipped == old.layers[0].size
        assert done.sent == new.layers[1].size + _config_size(new) + len(store.get(new.digest))

    def test_a_repository_that_has_not_got_it_after_all(self, plain: str) -> None:
        made = image(f"{plain}/never/pushed", 700)
        done = registry.push(made, f"{plain}/to/here")
        assert (done.mounted, done.skipped) == (0, 0)

    def test_a_pull_fetches_only_the_layers_it_lacks(self, plain: str, machine: Machine) -> None:
        old, new = image("old", 9100, 11), image("new", 9100, 21)
        registry.push(old, f"{plain}/lacking:old")
        registry.push(new, f"{plain}/lacking:new")
        machine("second")
        registry.pull(f"{plain}/lacking:old")
        seen = Ways()
        registry.pull(f"{plain}/lacking:new", progress=seen)
        assert [seen.ways[layer.digest] for layer in new.layers] == ["here already", "pulled"]

    def test_a_layer_that_occurs_twice_is_moved_once(self, plain: str, machine: Machine) -> None:
        made = image("twice", 50, 50)
        done = registry.push(made, f"{plain}/twice")
        assert done.sent < 2 * made.layers[0].size + _config_size(made) + 500
        machine("second")
        assert registry.pull(f"{plain}/twice").layers == made.layers


def _config_size(made: Image) -> int:
    size: int = json.loads(store.get(made.digest))["config"]["size"]
    return size


class TestPlatforms:
    @pytest.fixture
    def index(self, plain: str) -> dict[str, Image]:
        """An index in the registry; the images it names, by platform."""
        made = {}
        entries = []
        for architecture in ("amd64", "arm64"):
            each = _for(architecture, plain)
            made[f"linux/{architecture}"] = each
            data = store.get(each.digest)
            described = Descriptor(store.MANIFEST, each.digest, len(data)).to_json()
            suited = {"os": "linux", "architecture": architecture}
            entries.append({**described, "platform": suited})
        content = {"schemaVersion": 2, "mediaType": store.INDEX, "manifests": entries}
        put(plain, "many", "latest", store.INDEX, content)
        return made

    def test_the_hosts_is_chosen(
        self, plain: str, index: dict[str, Image], machine: Machine
    ) -> None:
        machine("second")
        host = {"x86_64": "linux/amd64", "aarch64": "linux/arm64"}[platform.machine()]
        assert registry.pull(f"{plain}/many").digest == index[host].digest

    def test_another_is_had_by_its_name(
        self, plain: str, index: dict[str, Image], machine: Machine
    ) -> None:
        machine("second")
        pulled = registry.pull(f"{plain}/many", platform="linux/arm64")
        assert pulled.digest == index["linux/arm64"].digest

    def test_one_that_is_not_there(self, plain: str, index: dict[str, Image]) -> None:
        with pytest.raises(LabError, match="linux/s390x: there is one for: linux/amd64, linux/arm"):
            registry.pull(f"{plain}/many", platform="linux/s390x")

    def test_an_image_for_another_platform_comes_only_to_who_asks(
        self, plain: str, machine: Machine
    ) -> None:
        _for("s390x", plain)
        machine("second")
        with pytest.raises(LabError, match="it is for linux/s390x.*--platform linux/s390x"):
            registry.pull(f"{plain}/many:s390x")
        assert store.names() == []
        assert registry.pull(f"{plain}/many:s390x", platform="linux/s390x")

    def test_an_index_in_an_index_is_refused(self, plain: str, index: dict[str, Image]) -> None:
        inner = {"schemaVersion": 2, "mediaType": store.INDEX, "manifests": []}
        described = put(plain, "nested", "", store.INDEX, inner).to_json()
        named = [{**described, "platform": {"os": "linux", "architecture": "amd64"}}]
        outer = {"schemaVersion": 2, "mediaType": store.INDEX, "manifests": named}
        put(plain, "nested", "latest", store.INDEX, outer)
        with pytest.raises(LabError, match="its index names another index"):
            registry.pull(f"{plain}/nested", platform="linux/amd64")

    @pytest.mark.parametrize("text", ["amd64", "linux/", "a/b/c/d", "linux/../x"])
    def test_what_is_no_platform(self, plain: str, text: str) -> None:
        with pytest.raises(LabError, match="not OS/ARCHITECTURE"):
            registry.pull(f"{plain}/many", platform=text)


def _for(architecture: str, address: str) -> Image:
    config = {"architecture": architecture, "os": "linux", "config": {}}
    made = making.make("", architecture.encode() * 1000, config)
    registry.push(made, f"{address}/many:{architecture}")
    return made


class TestTheNameComesLast:
    def test_a_pull_that_fails_leaves_the_name_as_it_was(
        self, plain: str, machine: Machine, tmp_path: Path
    ) -> None:
        with servers.registry(tmp_path) as address:
            old, new = image("old", 300), image("new", 300_000)
            registry.push(old, f"{address}/it")
            machine("second")
            registry.pull(f"{address}/it")
            machine("first")
            registry.push(new, f"{address}/it")
            (blob,) = tmp_path.rglob(f"{new.layers[0].digest.removeprefix('sha256:')}/data")
            blob.write_bytes(b"0" * new.layers[0].size)
            machine("second")
            with pytest.raises(LabError, match="what came has the digest"):
                registry.pull(f"{address}/it")
            assert store.resolve(f"{address}/it").digest == old.digest
            assert list((store.folder() / "partial").iterdir()) == []

    def test_a_damaged_blob_is_not_pushed(self, plain: str) -> None:
        made = image("damaged", 400)
        path = store.blob_path(made.layers[0].digest)
        path.write_bytes(bytes(path.stat().st_size))
        with pytest.raises(LabError, match="the file was changed or damaged"):
            registry.push(made, f"{plain}/damaged")
        with pytest.raises(LabError, match="404"):
            registry.pull(f"{plain}/damaged")

    @pytest.mark.parametrize("more", [-1, 1])
    def test_a_blob_of_another_size_than_its_manifest_says_is_not_pushed(
        self, plain: str, more: int
    ) -> None:
        made = image("app", 500)
        manifest = json.loads(store.get(made.digest))
        manifest["layers"][0]["size"] += more
        store.tag("lying", store.put(json.dumps(manifest).encode()))
        with pytest.raises(LabError, match="the store hasn't got it whole"):
            registry.push(store.resolve("lying"), f"{plain}/lying")

    def test_a_digest_that_is_another_images_is_no_name_for_this(self, plain: str) -> None:
        made = image("app", 100)
        with pytest.raises(LabError, match=f"its digest is {made.digest}"):
            registry.push(made, f"{plain}/app@sha256:{'0' * 64}")


class TestWhatIsNotThere:
    @pytest.mark.parametrize("version", ["nosuch", "nosuch:v1", f"nosuch@sha256:{'0' * 64}"])
    def test_no_such_image(self, plain: str, version: str) -> None:
        with pytest.raises(LabError, match=r"404 Not Found \(manifest unknown\).*check the name"):
            registry.pull(f"{plain}/{version}")

    def test_nobody_listens(self) -> None:
        with pytest.raises(LabError, match="connection refused.*check host and port"):
            registry.pull("127.0.0.1:1/app")

    def test_no_such_host(self) -> None:
        with pytest.raises(LabError, match="no host has that name"):
            registry.pull("no-such-host.invalid/app")
