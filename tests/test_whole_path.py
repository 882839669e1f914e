"""Registry, build, image, run: the whole path of a package, with its digest at each stage.

Built from a Containerfile, pushed to a real registry, removed here, pulled again, run as a
container and booted as a virtual machine.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.request import Request, urlopen

import pytest

import labrt
from bench import guest
from labrt.errors import LabError
from labrt.images import base, garbage, layers, naming, registry, store
from tests.bench import test_guest_boots as boots
from tests.labrt.images import servers
from tests.labrt.images.conftest import needs_registry

CONTAINERFILE = """
FROM busybox
ENV GREETING="the same digest"
COPY hello /srv/hello
WORKDIR /srv
CMD ["sh", "./hello"]
"""
HELLO = 'echo "$GREETING in $PWD as $(id -un)"\n'
SAID = "the same digest in /srv as root\n"

home = boots.home


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    with servers.registry(tmp_path) as listening:
        yield listening


def digest_in_registry(address: str, repository: str, tag: str) -> str:
    """What the registry itself calls the image, asked without any code of the lab."""
    url = f"http://{address}/v2/{repository}/manifests/{tag}"
    with urlopen(Request(url, method="HEAD", headers={"Accept": store.MANIFEST})) as answer:
        found: str = answer.headers["Docker-Content-Digest"]
    return found


@needs_registry
@pytest.mark.timeout(300)
def test_one_digest_from_the_containerfile_to_the_container_and_the_virtual_machine(
    address: str, tmp_path: Path
) -> None:
    context = tmp_path / "context"
    context.mkdir()
    (context / "Containerfile").write_text(CONTAINERFILE)
    (context / "hello").write_text(HELLO)
    name = f"{address}/course/hello:1"
    base.ensure("busybox")

    built = labrt.build(context, name)
    pushed = registry.push(built)
    assert pushed.digest == built.digest == digest_in_registry(address, "course/hello", "1")

    naming.remove(name)
    garbage.collect(cache=True)
    with pytest.raises(LabError, match="no such image in the store"):
        store.resolve(name)
    assert not store.blob_path(built.digest).exists()

    pulled = registry.pull(name)
    assert (pulled.digest, pulled.layers) == (built.digest, built.layers)
    assert [folder.is_dir() for folder in layers.unpacked(pulled)] == [True, True]

    assert labrt.output(name, []) == SAID
    for root in boots.ROOTS:
        assert guest.build(pulled, root=root).digest == built.digest
        assert boots.run(pulled, root) == SAID
