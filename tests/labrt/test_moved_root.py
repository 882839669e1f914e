"""labrt/moved_root.py: `--no-pivot`, after which nothing of the host's files is in reach either."""

from __future__ import annotations

import json
import os
from typing import Any

from labrt import moved_root
from tests.labrt.bundle.bundles import PATIENT, Bundles, config
from tests.labrt.bundle.cases import OWN_USERS, linux, without
from tests.labrt.conftest import needs_root

ADMIN = "CAP_SYS_ADMIN"
LOOK = """
ls -a /; ls -a /../..; ls -a /proc/1/root/..
cut -d' ' -f5- /proc/self/mountinfo | sort
"""
# Root of a user namespace, who may mount, but sees no /proc; so the kernel grants no new one.
WITHOUT_PROC = {
    **linux(
        namespaces=[*without(), {"type": "user"}],
        **{"uidMappings": OWN_USERS, "gidMappings": OWN_USERS, "resources": {}},
        **{"maskedPaths": [], "readonlyPaths": []},
    ),
    "process": {"capabilities": dict.fromkeys(("bounding", "permitted", "effective"), [ADMIN])},
    "mounts": [{"destination": "/dev", "type": "tmpfs", "source": "tmpfs"}],
}
MOUNT = "mount -t proc proc /mnt 2>&1; true"


def seen(bundles: Bundles, script: str, *options: str, **changes: Any) -> str:
    told = config(changes, run=script) | {name: changes[name] for name in ("mounts",) if changes}
    (bundles.folder / "config.json").write_text(json.dumps(told))
    done = bundles("run", *options, "-b", str(bundles.folder), bundles.name)
    assert done.returncode == 0, done.stderr
    return done.stdout


@needs_root
def test_a_container_whose_root_is_moved_sees_what_others_see(bundles: Bundles) -> None:
    pivoted = seen(bundles, LOOK)
    assert "bin" in pivoted.split()
    assert seen(bundles, LOOK, "--no-pivot") == pivoted


@needs_root
def test_where_the_hosts_proc_would_stay_below_it_is_refused(bundles: Bundles) -> None:
    """It would be leave to mount one (mount_namespaces(7)), which the container else hasn't got."""
    assert "denied" in seen(bundles, MOUNT, **WITHOUT_PROC)
    done = bundles("run", "--no-pivot", "-b", str(bundles.folder), bundles.name)
    assert (done.returncode, done.stdout) == (1, "")
    assert "HideKernel" in done.stderr and "leave --no-pivot out" in done.stderr


@needs_root
def test_who_enters_is_in_the_moved_root(bundles: Bundles) -> None:
    bundles.write(run="sleep 60")
    words = ("--no-pivot", "-b", str(bundles.folder), bundles.name)
    assert bundles("create", *words, **PATIENT).returncode == 0
    try:
        assert bundles("start", bundles.name).returncode == 0
        inside = bundles("exec", bundles.name, "ls", "-a", "/", "/..").stdout.split()
        assert "rootfs" not in inside and os.path.basename(bundles.folder) not in inside
        assert inside.count("bin") == 2
    finally:
        bundles("delete", "--force", bundles.name)


def test_places_with_blanks_are_read_as_they_are() -> None:
    assert moved_root._unescaped(r"/a\040b\134c") == "/a b\\c"
