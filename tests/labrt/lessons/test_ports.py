"""labrt/lessons/ports.py: who listens where."""

from __future__ import annotations

import os
import socket

import pytest

import labrt
from labrt.lessons.ports import listening


@pytest.mark.usefixtures("nothing_left")
def test_a_port_is_open_where_somebody_listens_and_only_there() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        labrt.run("busybox", ["sleep", "60"]) as box,
    ):
        port = server.getsockname()[1]
        assert port in listening("self") and port in listening(os.getpid())
        assert listening(box) == set()
    found = listening("self")
    assert port not in found
