"""A registry on this machine: Debian's docker-registry on a free port of loopback."""

from __future__ import annotations

import json
import re
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from labrt.errors import LabError


@contextmanager
def serving(folder: Path, **parts: object) -> Iterator[str]:
    """Run a registry that keeps its things in `folder`; give its "127.0.0.1:PORT".

    Args:
        parts: of its configuration (https://distribution.github.io/distribution/about/configuration/).

    Raises:
        LabError: there is none on this host, or it ended at once.
    """
    http: dict[str, object] = {"addr": "127.0.0.1:0"}
    config = {
        "version": "0.1",
        "log": {"level": "info"},
        "storage": {"filesystem": {"rootdirectory": str(folder)}},
        "http": http,
        **parts,
    }
    if "tls" in config:
        http["tls"] = config.pop("tls")
    file = folder / "config.yml"
    file.write_text(json.dumps(config))  # JSON is YAML
    command = ["docker-registry", "serve", str(file)]
    try:
        process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )
    except FileNotFoundError:
        remedy = "apt-get install docker-registry"
        raise LabError("run a registry", "no docker-registry", remedy=remedy) from None
    with process:
        try:
            assert process.stderr is not None
            yield f"127.0.0.1:{_port(process.stderr)}"
        finally:
            process.terminate()


def _port(log: IO[str]) -> int:
    """Wait until it says where it listens; go on reading, or it would wait for us."""
    for line in log:
        if found := re.search(r"listening on 127\.0\.0\.1:([0-9]+)", line):
            threading.Thread(target=lambda: [None for _ in log], daemon=True).start()
            return int(found[1])
    raise LabError("run a registry", "docker-registry ended at once")
