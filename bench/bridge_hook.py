"""An OCI hook that joins a container to labrt's bridge as labrt does it: a veth pair, eth0 with an
address, a default route. The runtime calls it when the container's namespaces are there and its
program hasn't begun (createRuntime in the runtime specification's config.md).

    python -m bench.bridge_hook INTERFACE BRIDGE ADDRESS/PREFIX GATEWAY <STATE

Host side, then in the container's network namespace.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from bench.bridge_port import Port
from labrt import bridge, netdevice, netlink, syscalls
from labrt.errors import errno_text

ROOT = Path(__file__).parent.parent


def hooks(port: Port) -> dict[str, Any]:
    """Return what an OCI configuration has under "hooks"."""
    place = [port.interface, port.bridge, f"{port.address}/{port.prefix}", port.gateway]
    call = {
        "path": sys.executable,
        "args": [sys.executable, "-m", "bench.bridge_hook", *place],
        "env": [f"PYTHONPATH={ROOT}"],
    }
    return {"createRuntime": [call]}


def connect(pid: int, interface: str, switch: str, place: str, gateway: str) -> None:
    """Join the network namespace of a process to a bridge; this process is in it afterwards.

    Raises:
        OSError: the kernel's answer.
    """
    address, _, prefix = place.partition("/")
    bridge.connect(switch, interface, pid, address)
    with open(f"/proc/{pid}/ns/net") as namespace:
        syscalls.setns(namespace.fileno(), syscalls.CLONE_NEWNET)
    netlink.add_address("eth0", address, int(prefix))
    netdevice.raise_interface("eth0")
    netlink.add_default_route(gateway)


def main() -> int:
    try:
        connect(json.load(sys.stdin)["pid"], *sys.argv[1:])
    except OSError as error:
        print(f"lab: join labrt's bridge: {errno_text(error)}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
