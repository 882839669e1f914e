"""What the tests of images share: registries to speak with, and machines that know no image yet."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from labrt.images import making, wire
from labrt.images.store import LAYER_GZIP, Image
from tests.labrt.images import servers

needs_registry = pytest.mark.skipif(
    shutil.which("docker-registry") is None, reason="apt-get install docker-registry"
)


@pytest.fixture(scope="package")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a real registry that speaks plain HTTP with anybody."""
    with servers.registry(tmp_path_factory.mktemp("plain")) as address:
        yield address


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Change to another machine, called so: one with a store, and logins, of its own."""

    def change(name: str) -> None:
        for variable in ("SSL_CERT_FILE", "SSL_CERT_DIR", "REGISTRY_AUTH_FILE"):
            monkeypatch.delenv(variable, raising=False)
        monkeypatch.setenv("LAB_HOME", str(tmp_path / name))
        monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / name / "docker"))

    change("first")
    return change


@pytest.fixture
def quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait next to nothing before another try."""
    monkeypatch.setattr(wire, "BACKOFF", 0.01)


def image(name: str, *sizes: int, media_type: str = LAYER_GZIP, **config: object) -> Image:
    """An image whose layers are that many bytes that don't compress (and no tar archives)."""
    layers = [
        making.layer(
            lambda stream, size=size: stream.write(random.Random(size).randbytes(size)), media_type
        )
        for size in sizes
    ]
    described = {"architecture": "amd64", "os": "linux", "config": config}
    return making.image(name, layers, described)
