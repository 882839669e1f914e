"""What the runtime's tests share: a home of their own, and a look at what is left on the host."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from labrt import cgroups, launching, state
from labrt.images import base
from tests.labrt.bundle.bundles import Bundles


@pytest.fixture(scope="package", autouse=True)
def home() -> Iterator[Path]:
    """A LAB_HOME with the busybox image, for these tests alone."""
    folder = Path(tempfile.mkdtemp(prefix="lab-"))
    before = {name: os.environ.get(name) for name in ("LAB_HOME", "LAB_RUN")}
    os.environ |= {"LAB_HOME": str(folder / "home"), "LAB_RUN": str(folder / "run")}
    launching.close_launcher()  # one that was started for another home
    base.ensure("busybox")
    yield folder / "home"
    launching.close_launcher()
    launching.close_shared()
    launching.end_fork_server()
    cgroups.remove_top()
    assert [str(f) for f in cgroups.layout().folders if (f / cgroups.top()).exists()] == []
    for name, value in before.items():
        if value is None:
            del os.environ[name]
        else:
            os.environ[name] = value
    state.remove_tree(folder)


@pytest.fixture(scope="module")
def bundles() -> Iterator[Bundles]:
    """A bundle, where other users may walk, as pytest's own folders are not."""
    with tempfile.TemporaryDirectory(prefix="bundle-") as folder:
        made = Bundles(Path(folder))
        yield made
        made("delete", "--force", made.name)  # of a test that failed halfway
        assert list(Path("/sys/fs/cgroup").glob(f"*/{made.top}")) == []


CONTAINER = re.compile(r"labrt[^/]*/lab-[0-9a-f]{8}")  # not the bench's own, which may run beside


def left_on_host() -> list[str]:
    """Return what containers of this home have left: folders and cgroups."""
    parent = state.containers_dir()
    folders = sorted(path.name for path in parent.iterdir()) if parent.is_dir() else []
    return folders + [g.name for g in cgroups.all_cgroups() if CONTAINER.fullmatch(g.name)]


@pytest.fixture
def nothing_left(home: Path) -> Iterator[None]:
    """Fail a test that leaves more behind than it found."""
    before = left_on_host()
    yield
    assert left_on_host() == before


needs_cgroups = pytest.mark.skipif(
    cgroups.unavailable() is not None,
    reason=f"limits need cgroups: {cgroups.unavailable()}",
)
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root maps 65,536 ids")
