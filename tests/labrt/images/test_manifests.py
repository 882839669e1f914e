"""labrt/images/manifests.py: what a registry says an image is, is believed only so far."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from typing import Any

import pytest

from labrt.errors import LabError
from labrt.images import manifests, registry, store
from labrt.images.manifests import Index, Manifest, Platform
from labrt.images.store import CONFIG, INDEX, LAYER_GZIP, MANIFEST
from tests.labrt.images import servers
from tests.labrt.images.servers import Handler

DIGEST = f"sha256:{'a' * 64}"
DOCKER = "application/vnd.docker.distribution.manifest"
LAYER = {"mediaType": LAYER_GZIP, "digest": DIGEST, "size": 5}
GOOD: dict[str, Any] = {
    "schemaVersion": 2,
    "mediaType": MANIFEST,
    "config": {"mediaType": CONFIG, "digest": DIGEST, "size": 2},
    "layers": [LAYER, LAYER],
}
HOST = Platform("linux", "amd64")


def read(content: object, media_type: str = MANIFEST) -> Manifest | Index:
    return manifests.read(json.dumps(content).encode(), media_type)


def test_an_image_manifest_is_read() -> None:
    found = read(GOOD)
    assert isinstance(found, Manifest)
    assert (found.config.size, [layer.size for layer in found.layers]) == (2, [5, 5])
    without_type = {key: value for key, value in GOOD.items() if key != "mediaType"}
    assert isinstance(read(without_type), Manifest)


def changed(part: str, **new: object) -> dict[str, Any]:
    """The good manifest with a descriptor changed."""
    if part == "layers":
        return GOOD | {"layers": [LAYER | new]}
    return GOOD | {part: GOOD[part] | new}


DAMAGED: dict[str, tuple[object, str]] = {
    "no object": ([], "no JSON object"),
    "text": ("x", "no JSON object"),
    "nothing": ({}, "'config' is missing"),
    "schema 1": ({"schemaVersion": 1, "fsLayers": []}, "schema 1"),
    "another type inside": (GOOD | {"mediaType": INDEX}, "the registry calls it"),
    "no config": ({"layers": []}, "'config' is missing"),
    "no layers": ({"config": GOOD["config"]}, "'layers' is missing"),
    "layers no list": (GOOD | {"layers": 7}, "damaged or hostile"),
    "layers an object": (GOOD | {"layers": {"a": 1}}, "damaged or hostile"),
    "layers null": (GOOD | {"layers": None}, "damaged or hostile"),
    "a layer no object": (GOOD | {"layers": [3]}, "damaged or hostile"),
    "digest a path": (changed("layers", digest="sha256:../../x"), "not a sha256 digest"),
    "digest a number": (changed("layers", digest=3), "damaged or hostile"),
    "digest of sha512": (changed("layers", digest="sha512:" + "a" * 128), "not a sha256 digest"),
    "size a text": (changed("layers", size="5"), "damaged or hostile"),
    "size below 0": (changed("layers", size=-1), "is no size"),
    "size a fraction": (changed("layers", size=1.5), "damaged or hostile"),
    "size true": (changed("layers", size=True), "damaged or hostile"),
    "type a number": (changed("layers", mediaType=3), "damaged"),
    "type a list": (changed("layers", mediaType=[]), "damaged or hostile"),
    "a layer elsewhere": (
        changed("layers", mediaType="application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"),
        "none of tar",
    ),
    "no layer": (changed("layers", mediaType="text/plain"), "none of tar"),
    "no image": (changed("config", mediaType="application/vnd.cncf.helm.config"), "no image, but"),
    "config too large": (changed("config", size=1 << 40), "configuration has more than"),
}


@pytest.mark.parametrize(("content", "why"), DAMAGED.values(), ids=DAMAGED.keys())
def test_a_damaged_manifest_is_refused_in_one_line(content: object, why: str) -> None:
    with pytest.raises(LabError, match=why) as refused:
        read(content)
    assert str(refused.value).isprintable()


@pytest.mark.parametrize(
    ("media_type", "why"),
    [
        (f"{DOCKER}.v1+prettyjws", "schema 1|its type is"),
        ("text/html", "its type is 'text/html'"),
        ("", "its type is ''"),
        ("\x1b[2J" * 100, "its type is"),
    ],
)
def test_another_type_is_refused(media_type: str, why: str) -> None:
    content = {key: value for key, value in GOOD.items() if key != "mediaType"}
    with pytest.raises(LabError, match=why) as refused:
        read(content, media_type)
    assert str(refused.value).isprintable()


@pytest.mark.parametrize("data", [b"", b"{", b"<html>", b"\xff\xfe", b"[" * 100_000])
def test_what_is_no_json_is_refused(data: bytes) -> None:
    with pytest.raises(LabError, match="no JSON"):
        manifests.read(data, MANIFEST)


def test_what_runs_is_checked_too() -> None:
    manifest = read(GOOD)
    assert isinstance(manifest, Manifest)
    wrong: tuple[object, ...] = (
        [], 3, {"Env": "A=b"}, {"Env": [3]}, {"Cmd": {"a": 1}}, {"Entrypoint": ["a\0b"]},
        {"User": 7}, {"WorkingDir": ["/"]},
    )  # fmt: skip
    for config in wrong:
        whole = {"rootfs": {"diff_ids": [DIGEST] * 2}, "config": config}
        with pytest.raises(LabError, match="should be|may hold"):
            manifests.check_config(json.dumps(whole).encode(), manifest, HOST, asked=False)


class TestAnIndex:
    def index(self, *platforms: object) -> Index:
        entry = {"mediaType": MANIFEST, "digest": DIGEST}
        entries = [entry | {"size": size, "platform": each} for size, each in enumerate(platforms)]
        found = read({"schemaVersion": 2, "manifests": entries}, INDEX)
        assert isinstance(found, Index)
        return found

    def test_the_first_that_suits_is_chosen(self) -> None:
        arm = {"os": "linux", "architecture": "arm"}
        index = self.index(
            {"os": "windows", "architecture": "arm"},
            {"os": "unknown", "architecture": "unknown"},
            None,
            arm | {"variant": "v6"},
            arm | {"variant": "v7"},
        )
        assert index.choose(Platform("linux", "arm")).size == 3
        assert index.choose(Platform("linux", "arm", "v7")).size == 4
        with pytest.raises(LabError, match="there is one for: linux/arm/v6, linux/arm/v7"):
            index.choose(Platform("linux", "arm", "v8"))

    def test_what_it_says_cannot_command_the_terminal(self) -> None:
        index = self.index({"os": "\x1b[2J", "architecture": "a\nb"}, {"os": 7})
        with pytest.raises(LabError) as refused:
            index.choose(HOST)
        assert str(refused.value).isprintable()

    @pytest.mark.parametrize("content", [{}, {"manifests": 3}, {"manifests": [3]}])
    def test_a_damaged_one_is_refused(self, content: dict[str, object]) -> None:
        with pytest.raises(LabError, match="damaged or hostile"):
            read(content, INDEX)


class TestAConfiguration:
    def check(self, config: object, asked: bool = False) -> None:
        manifest = read(GOOD)
        assert isinstance(manifest, Manifest)
        manifests.check_config(json.dumps(config).encode(), manifest, HOST, asked)

    def test_of_this_platform_is_accepted(self) -> None:
        rootfs = {"type": "layers", "diff_ids": [DIGEST, DIGEST]}
        self.check({"os": "linux", "architecture": "amd64", "rootfs": rootfs})
        self.check({"rootfs": rootfs})
        run = {"Env": ["A=b"], "Entrypoint": None, "Cmd": ["sh"], "User": "1", "WorkingDir": ""}
        self.check({"rootfs": rootfs, "config": run})

    @pytest.mark.parametrize(
        ("config", "why"),
        [
            ([], "no JSON object"),
            ({}, "'rootfs' is missing"),
            ({"rootfs": []}, "'rootfs' should be an object"),
            ({"rootfs": {"diff_ids": [DIGEST]}}, "it tells of 1 layers, the manifest of 2"),
            ({"rootfs": {"diff_ids": {DIGEST: 1, "b": 2}}}, "'diff_ids' should be a list"),
            ({"rootfs": {"diff_ids": [DIGEST, "../../x"]}}, "not a sha256 digest"),
            ({"rootfs": {"diff_ids": [DIGEST, 3]}}, "'diff_ids' should be text"),
            (
                {"os": "linux", "architecture": "\x1b[2J", "rootfs": {"diff_ids": [DIGEST] * 2}},
                "it is for linux/",
            ),
        ],
    )
    def test_that_is_wrong_is_refused(self, config: object, why: str) -> None:
        with pytest.raises(LabError, match=why) as refused:
            self.check(config)
        assert str(refused.value).isprintable()


@pytest.mark.usefixtures("machine", "quickly")
class TestARegistryThatLies:
    """The whole way: nothing of it is called an image."""

    def pull(self, answer: Callable[[Handler], None], version: str = "") -> None:
        try:
            with servers.rogue(answer) as address:
                registry.pull(f"{address}/app{version}")
        finally:
            assert store.names() == []

    @pytest.mark.parametrize(
        ("headers", "body", "why"),
        [
            ({"content_type": MANIFEST}, b"<html>", "it is no JSON"),
            ({"content_type": "text/html"}, b"<html>", "it is no JSON"),
            ({"content_type": MANIFEST}, b" " * (manifests.LARGEST + 1), "longer than"),
            ({"content_type": MANIFEST, "docker_content_digest": DIGEST}, b"{}", "has the digest"),
            ({"content_type": MANIFEST, "content_length": 99}, b"{}", "the connection broke"),
            ({}, json.dumps(GOOD).encode(), "calls it ''"),
        ],
    )
    def test_about_a_manifest(self, headers: dict[str, str], body: bytes, why: str) -> None:
        def answer(handler: Handler) -> None:
            handler.reply(200, body, **headers)
            handler.break_off()

        with pytest.raises(LabError, match=why):
            self.pull(answer)

    def test_about_a_digest(self) -> None:
        body = json.dumps(GOOD).encode()
        with pytest.raises(LabError, match=f"the manifest {DIGEST} that came has the digest"):
            self.pull(lambda h: h.reply(200, body, content_type=MANIFEST), f"@{DIGEST}")

    def test_about_the_size_that_its_index_announces(self) -> None:
        inner = json.dumps(GOOD).encode()
        digest = f"sha256:{hashlib.sha256(inner).hexdigest()}"
        entry = {"mediaType": MANIFEST, "digest": digest, "size": 1}
        platform = str(manifests.parse_platform("")).split("/")
        entry["platform"] = dict(zip(("os", "architecture"), platform, strict=True))
        outer = json.dumps({"schemaVersion": 2, "manifests": [entry]}).encode()

        def answer(handler: Handler) -> None:
            if handler.path.endswith(digest):
                return handler.reply(200, inner, content_type=MANIFEST)
            handler.reply(200, outer, content_type=INDEX)

        with pytest.raises(LabError, match="hasn't the size announced"):
            self.pull(answer)
