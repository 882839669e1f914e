"""The loopback: the one device that a new network namespace has, and it is down
(network_namespaces(7)). All that connects it to others is in `network`.

Lesson: notebook 06.
"""

from __future__ import annotations

from typing import ClassVar

from labrt import netdevice
from labrt.calls import Call
from labrt.step import Context, Step, constant


class RaiseLoopback(Step):
    side: ClassVar = "container"
    man: ClassVar = "rtnetlink(7)"
    reason: ClassVar = "programs expect 127.0.0.1 to answer"

    def describe(self) -> str:
        return "set IFF_UP on lo"

    @constant
    def calls(self, context: Context) -> list[Call]:
        return netdevice.raising("lo")
