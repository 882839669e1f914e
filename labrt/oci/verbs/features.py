"""`labrt-oci features`: what it can do, as JSON
(https://github.com/opencontainers/runtime-spec/blob/main/features.md)."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

from labrt import capabilities, mount_options, nsfs, scopes, seccomp
from labrt.oci.words import Option

HELP = "tell what this runtime can do, as JSON"
OPTIONS: tuple[Option, ...] = ()
OPERANDS = ""


def main(given: SimpleNamespace) -> int:
    print(json.dumps(told(), indent=4))
    return 0


def told() -> dict[str, Any]:
    """Return the features. They are the program's, whatever this host has of them."""
    return {
        "ociVersionMin": "1.0.0",
        "ociVersionMax": "1.3.0",
        "hooks": [
            "prestart",
            "createRuntime",
            "createContainer",
            "startContainer",
            "poststart",
            "poststop",
        ],
        "mountOptions": list(mount_options.NAMES),
        "linux": {
            "namespaces": sorted(nsfs.FILES),
            "capabilities": list(capabilities.NAMES),
            "cgroup": {
                "v1": True,
                "v2": True,
                "systemd": scopes.unavailable() is None,
                "systemdUser": False,
                "rdma": True,
            },
            "seccomp": {
                "enabled": True,
                "actions": sorted(seccomp.ACTIONS),
                "operators": sorted(seccomp.COMPARISONS),
                "archs": list(seccomp.ARCHITECTURES),
                "knownFlags": sorted(seccomp.FLAGS),
                "supportedFlags": sorted(seccomp.FLAGS),
            },
            "apparmor": {"enabled": True},
            "selinux": {"enabled": True},
            "intelRdt": {"enabled": False},
            "mountExtensions": {"idmap": {"enabled": True}},
        },
        "annotations": {"io.github.seccomp.libseccomp.version": seccomp.libseccomp_version()},
    }
