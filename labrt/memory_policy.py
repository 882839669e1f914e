"""Memory policy: from which memory nodes (NUMA) a process's memory is taken (set_mempolicy(2)).

It is inherited. cpuset.mems, which no process can leave, is above it.
"""

from __future__ import annotations

import errno
from typing import ClassVar

from labrt import limits, syscalls
from labrt.spec import MemoryPolicy
from labrt.step import Context, Step

MODES = {
    "MPOL_DEFAULT": 0,
    "MPOL_PREFERRED": 1,
    "MPOL_BIND": 2,
    "MPOL_INTERLEAVE": 3,
    "MPOL_LOCAL": 4,
    "MPOL_PREFERRED_MANY": 5,
    "MPOL_WEIGHTED_INTERLEAVE": 6,
}
FLAGS = {
    "MPOL_F_NUMA_BALANCING": 1 << 13,
    "MPOL_F_RELATIVE_NODES": 1 << 14,
    "MPOL_F_STATIC_NODES": 1 << 15,
}
HIGHEST_NODE = 1023


class SetMemoryPolicy(Step):
    side: ClassVar = "container"
    man: ClassVar = "set_mempolicy(2)"
    reason: ClassVar = "asked for"

    def __init__(self, policy: MemoryPolicy) -> None:
        self.policy = policy

    def describe(self) -> str:
        flags = "".join(f" | {flag}" for flag in self.policy.flags)
        return f"set_mempolicy({self.policy.mode}{flags}, {self.policy.nodes or 'no nodes'})"

    def do(self, context: Context) -> None:
        mode = MODES[self.policy.mode] | sum(FLAGS[flag] for flag in self.policy.flags)
        nodes = limits.members(self.policy.nodes) if self.policy.nodes else ()
        syscalls.set_mempolicy(mode, sum(1 << node for node in nodes))

    def likely(self, error: OSError) -> tuple[str, str]:
        return {
            errno.ENOSYS: ("this kernel knows but one memory node", "leave memoryPolicy out"),
            errno.EINVAL: ("that mode takes no such nodes or flags, or they aren't there", ""),
        }.get(error.errno or 0, ("", ""))
