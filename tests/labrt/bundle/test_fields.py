"""docs/oci.md names every field that the specification has, and says what becomes of it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

SCHEMA = Path("/usr/share/gocode/src/github.com/opencontainers/runtime-spec/schema")
DOCS = Path(__file__).parents[3] / "docs/oci.md"
PLATFORMS = ("windows", "solaris", "zos", "vm", "freebsd")  # each is one field to us
OUTCOMES = ("done", "refused", "not applicable")

pytestmark = pytest.mark.skipif(
    not SCHEMA.exists(), reason="the specification's schema isn't installed: ./lab test installs it"
)


def resolved(node: dict[str, Any], file: str) -> tuple[dict[str, Any], str]:
    """Follow "$ref": "defs.json#/definitions/uint32"."""
    while "$ref" in node:
        named, _, path = node["$ref"].partition("#")
        file = named or file
        node = json.loads((SCHEMA / file).read_text())
        for part in filter(None, path.split("/")):
            node = node[part]
    return node, file


def fields(node: dict[str, Any], file: str, place: str = "") -> Iterator[str]:
    """Yield the place of every field: "mounts[].options", "linux.resources.rdma.*.hcaHandles"."""
    node, file = resolved(node, file)
    for inner in (*node.get("allOf", ()), *node.get("anyOf", ())):
        yield from fields(inner, file, place)
    for name, inner in node.get("properties", {}).items():
        below = f"{place}.{name}" if place else name
        yield below
        if below not in PLATFORMS:
            yield from fields(inner, file, below)
    if "items" in node:
        yield from fields(node["items"], file, f"{place}[]")
    if isinstance(node.get("additionalProperties"), dict):
        yield from fields(node["additionalProperties"], file, f"{place}.*")


@cache
def specified() -> set[str]:
    config = "config-schema.json"
    return set(fields(json.loads((SCHEMA / config).read_text()), config))


def rows() -> list[tuple[list[str], str, str]]:
    """Return the table's rows: the fields, written out; what becomes of them; how."""
    lines = DOCS.read_text().split("## Field by field")[1].split("\n## ")[0].splitlines()
    cells = [[cell.strip() for cell in line.split("|")[1:4]] for line in lines if line[:3] == "| `"]
    return [(written_out(names), outcome, how) for names, outcome, how in cells]


def written_out(cell: str) -> list[str]:
    """A name with a dot before it is beside or below the first one: "`process.user`, `.uid`"."""
    first, *others = re.findall("`([^`]+)`", cell)
    return [first, *(base(first, others) + each if each[0] == "." else each for each in others)]


def base(first: str, others: list[str]) -> str:
    """Below the first one where that is an object, else beside it."""
    known = specified()
    below = any(f"{first}{each}" in known for each in others if each[0] == ".")
    return first if below or first in OBJECTS else first.rpartition(".")[0]


# Newer than the schema; their fields are below them.
OBJECTS = (
    "process.ioPriority",
    "process.scheduler",
    "process.execCPUAffinity",
    "linux.timeOffsets",
    "linux.memoryPolicy",
)
HOOKS = re.compile(r"hooks\.\w+\[\]")


def listed() -> dict[str, str]:
    return {field: outcome for names, outcome, _ in rows() for field in names}


def test_every_field_is_listed() -> None:
    known = listed()
    places = {HOOKS.sub("hooks.*[]", field) for field in specified()}
    assert sorted(places - set(known)) == []


def test_every_outcome_is_one() -> None:
    assert {outcome for _, outcome, _ in rows()} == set(OUTCOMES)


def test_a_field_that_the_schema_hasnt_got_is_marked_as_newer() -> None:
    known = {HOOKS.sub("hooks.*[]", field) for field in specified()}
    newer = {"linux.intelRdt.schemata", "linux.intelRdt.enableMonitoring", "freebsd"}
    for names, _, how in rows():
        unknown = set(names) - known - newer
        assert not unknown or "(since 1." in how, unknown


def test_a_field_stands_in_one_row() -> None:
    names = [field for names, _, _ in rows() for field in names]
    assert sorted(field for field in set(names) if names.count(field) > 1) == []
