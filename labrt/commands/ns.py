"""`labrt ns [PID|CONTAINER]…`: the namespaces that processes are in, and who owns them."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Iterator

from labrt import namespace_tree, state
from labrt.errors import LabError, errno_text
from labrt.namespace_tree import Space, Tree
from labrt.spec import IdMapping

HELP = "show namespaces as a tree: who owns what, who is where"

HEADER = ("NAMESPACE", "NUMBER", "PROCESSES", "FIRST PROCESS", "CONTAINERS")


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="one JSON object")
    parser.add_argument("who", metavar="PID|CONTAINER", nargs="*", help="default: every process")


def main(options: argparse.Namespace) -> int:
    pids = [_pid(who) for who in options.who]
    tree = namespace_tree.read()
    tree = tree.of(pids) if pids else tree
    print(json.dumps(vars(tree), default=vars, indent=2) if options.json else table(tree))
    return 0


def _pid(who: str) -> int:
    if not who.isdecimal():
        return state.first_pid(who)
    try:
        os.readlink(f"/proc/{who}/ns/user")
    except OSError as error:
        raise LabError(f"look at the process {who}", errno_text(error)) from error
    return int(who)


def table(tree: Tree) -> str:
    """Return the tree as text: below each user namespace what it owns, its children last."""
    rows: list[tuple[str, ...]] = [HEADER]
    for space in tree.below(None):
        rows += _branch(space, tree, "", "")
    full = [row for row in rows if len(row) == len(HEADER)]
    widths = [max(len(row[column]) for row in full) for column in range(len(HEADER))]
    lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
    if tree.hidden:
        lines.append(f"\nprocesses not shown, whose rights we lack (ptrace(2)): {tree.hidden}")
    return "\n".join(lines)


def _branch(space: Space, tree: Tree, mark: str, below: str) -> Iterator[tuple[str, ...]]:
    """Yield a namespace's rows and those of all that it owns.

    Args:
        mark: the twig that its own row hangs on.
        below: what stands before the rows below it.
    """
    yield _row(space, mark)
    if space.type != "user":
        return
    owned = tree.below(space.number)
    yield (f"{below}{'│' if owned else ' '}    {_ids(space)}",)
    for child in owned:
        twig, bar = ("└─ ", "   ") if child is owned[-1] else ("├─ ", "│  ")
        yield from _branch(child, tree, below + twig, below + bar)


def _row(space: Space, mark: str) -> tuple[str, ...]:
    first = f"{space.processes[0]} {space.command}" if space.processes else "nobody"
    shown = first if len(first) <= 40 else f"{first[:39]}…"
    count = str(len(space.processes))
    return f"{mark}{space.type}", str(space.number), count, shown, ", ".join(space.containers)


def _ids(space: Space) -> str:
    """Say who made a user namespace, and who its users are outside."""
    if not space.uid_map:
        return f"made by uid {space.made_by}"
    if any(mapping.size == 2**32 - 1 for mapping in space.uid_map):
        return "its ids are ours"
    return f"made by uid {space.made_by}; here {', '.join(map(_range, space.uid_map))}"


def _range(mapping: IdMapping) -> str:
    inside, outside, size = mapping.container_id, mapping.host_id, mapping.size
    if size == 1:
        return f"its uid {inside} is {outside}"
    return f"its uids {inside}–{inside + size - 1} are {outside}–{outside + size - 1}"
