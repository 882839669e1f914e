"""The report: one HTML file that a student can hand in. It loads nothing from anywhere.

It is made from observations and the host's fingerprint alone, so it can be made again at any time
(`python -m bench --report FOLDER`).
"""

from __future__ import annotations

import base64
import datetime
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench import experiments, host, statistics, tables, units, variants, views
from bench.claims import judge, told
from bench.observations import Damage, Observation
from bench.tables import Table

# Facts of the fingerprint that are sizes.
IN_BYTES = ("memory total", "mem available", "memory budget", "reserve")

LINES_TOLD = 10  # numbers of lines that can't be read; of the others how many

TEMPLATE = Path(__file__).parent / "templates" / "report.html"


@dataclass
class Picture:
    """A picture with what it says in words."""

    data: str  # base64 of a PNG
    alt: str
    caption: str


@dataclass
class Section:
    """One experiment's part of the page."""

    title: str
    question: str = ""
    method: str = ""
    limits: str = ""
    pictures: list[Picture] = field(default_factory=list)
    tables: list[dict[str, Any]] = field(default_factory=list)


def write(
    rows: Sequence[Observation],
    damage: Sequence[Damage],
    fingerprint: dict[str, Any],
    pictures: dict[str, Path],
    file: Path,
) -> None:
    """Write the report.

    Args:
        damage: lines of the results file that couldn't be read; the report says so.
        fingerprint: host.json, with the run's own facts under "run".
        pictures: experiment → PNG file.

    Raises:
        OSError: the file can't be written.
    """
    import jinja2

    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    page = environment.from_string(TEMPLATE.read_text())
    file.write_text(page.render(content(rows, damage, fingerprint, pictures)))


def content(
    rows: Sequence[Observation],
    damage: Sequence[Damage],
    fingerprint: dict[str, Any],
    pictures: dict[str, Path],
) -> dict[str, Any]:
    """Return what the template needs."""
    failed = tables.failed(statistics.failures(rows))
    return {
        "run": rows[0].run if rows else fingerprint.get("run", {}).get("name", ""),
        "date": _date(rows),
        "host_line": host.describe(fingerprint),
        "accelerator_line": "; ".join(dict.fromkeys(map(_accelerator, host.each(fingerprint)))),
        "warnings": _warnings(rows, damage, fingerprint),
        "glance": [_plain(table) for table in tables.overviews(rows)],
        "images": _images(rows),
        "cpus": _all(rows, "cpus"),
        "memory": _all(rows, "memory"),
        "experiments": [
            _section(name, [row for row in rows if row.experiment == name], pictures)
            for name in views.experiments(rows)
        ],
        "claims": told.section(judge(rows)),
        "failures": _plain(failed, texts=True) if failed.rows else None,
        "own_costs": own_costs(fingerprint),
        "cautions": cautions(rows, fingerprint),
        "facts": facts(fingerprint),
        "fleet": "hosts" in fingerprint,
    }


def _images(rows: Sequence[Observation]) -> list[dict[str, str]]:
    """Return every image, with the experiments whose instances ran it."""
    used: dict[tuple[str, str], set[str]] = {}
    for row in rows:
        image = str(row.conditions.get("image", "")), str(row.conditions.get("digest", ""))
        used.setdefault(image, set()).add(row.experiment)
    order = views.experiments(rows)
    return [
        {"name": name, "digest": digest, "by": ", ".join(each for each in order if each in found)}
        for (name, digest), found in used.items()
    ]


def _all(rows: Sequence[Observation], key: str) -> str:
    """Say every value that a condition has."""
    values = sorted({float(variants.value(row.conditions, key)) for row in rows})
    return " and ".join(units.text(each, "B" if key == "memory" else "1") for each in values)


def own_costs(fingerprint: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the table of what measuring itself costs, of each host, as far as this run knows."""
    if found := fingerprint.get("run", {}).get("own_cost"):
        return [_plain(tables.own_cost(found))]
    shown = []
    for each in host.each(fingerprint):
        if found := each.get("own_cost"):
            table = tables.own_cost(found)
            table.title += f" (host {each['id']}, {each['worker']})"
            shown.append(_plain(table))
    return shown


def cautions(rows: Sequence[Observation], fingerprint: dict[str, Any]) -> list[str]:
    """Return what a reader must not conclude."""
    said = []
    if any(row.conditions.get("accelerator") == "tcg" for row in rows):
        said.append(
            "The VMs ran under TCG: QEMU translated every instruction of the guest in software. "
            "With KVM the processor runs them itself, and a boot takes a fraction of this time. "
            "So the distance between VM and container here is an upper bound, not the price of "
            "virtualization. The hypervisor's own memory includes the translated code."
        )
    hosts = host.each(fingerprint)
    virtual = {each["id"]: None for each in hosts if each["kernel"]["virtual_machine"]}
    if virtual:
        which = "The host" if len(hosts) == 1 else f"Each of these hosts ({', '.join(virtual)})"
        said.append(
            f"{which} is itself a virtual machine: its neighbours can slow it down, and its "
            "clock and memory are what its hypervisor gives it."
        )
    if len(hosts) > 1:
        said.append(
            "Hosts that aren't alike have tables of their own: what differs between them may come "
            "from anything in which they differ. Hosts with the same fingerprint count as one."
        )
    if any(row.conditions.get("caches") == "cold" for row in rows):
        said.append(
            "Cold caches: before each start the host wrote back and dropped its clean pages of "
            "files, directory entries and inodes. Still warm were what running programs have "
            "mapped (the bench, the launcher, an engine's daemon, their libraries), files in RAM, "
            "the processor's caches, and those of the disk and of a hypervisor below this host."
        )
    if any(row.conditions.get("io") for row in rows):
        said.append(
            "The I/O limit holds for what comes from the disk: a process's or container's pages "
            "that are in the host's cache already are read at no rate at all, and what they write "
            "into the cache is written back later, with cgroup v1 unlimited. A VM's limit is at "
            "its virtual disk, before the host's cache."
        )
    where = "one host" if len(hosts) == 1 else "these hosts"
    said.append(
        f"One image, one program, {where}: another guest kernel, a distribution's full init or a "
        "larger program moves every number."
    )
    if not any(row.experiment == "isolation" for row in rows):
        said.append(
            "Nothing here measures isolation. A VM's slower start buys a kernel of its own; "
            "whether that is worth it isn't a question of time and memory."
        )
    busy = max(each["load"]["average_1_min"] / each["cpu"]["usable"] for each in hosts)
    if busy > 0.5:
        which = "The host" if len(hosts) == 1 else "One of the hosts"
        said.append(
            f"{which} wasn't idle when the run began (load {busy:.1f} per CPU): "
            "other programs may be in these numbers."
        )
    return said


def facts(fingerprint: dict[str, Any]) -> list[tuple[str, str]]:
    """Flatten the fingerprint: ("cpu model", "…")."""
    return [(key, _fact(key, value)) for key, value in _flat(_described(fingerprint))]


def _described(fingerprint: dict[str, Any]) -> dict[str, Any]:
    """Leave out what has a table of its own."""
    run = {k: v for k, v in fingerprint.get("run", {}).items() if k != "own_cost"}
    if "hosts" not in fingerprint:
        return fingerprint | {"run": run}
    hosts = {
        f"host {each['worker']}": {k: v for k, v in each.items() if k not in ("own_cost", "worker")}
        for each in fingerprint["hosts"]
    }
    return hosts | {"run": run}


def _fact(key: str, value: Any) -> str:
    if value is None:
        return "none" if key.startswith("run ") else "not found"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if key.endswith(IN_BYTES):
        return units.text(float(value), "B")
    if isinstance(value, float):
        return units.text(value, "1")
    return str(value)


def _flat(value: Any, name: str = "") -> list[tuple[str, Any]]:
    if not isinstance(value, dict):
        return [(name, ", ".join(map(str, value)) if isinstance(value, list) else value)]
    return [
        pair
        for key, inner in value.items()
        for pair in _flat(inner, f"{name} {key}".strip().replace("_", " "))
    ]


def _section(name: str, rows: list[Observation], pictures: dict[str, Path]) -> Section:
    section = Section(name)
    if name in experiments.names():
        about = experiments.make(name)
        section = Section(about.title, about.question, about.method, about.limits)
    shown = views.of_experiment(name, rows)
    section.pictures = [
        _picture(pictures[each], picture.caption, shown)
        for each, picture in views.pictures(name).items()
        if each in pictures
    ]
    section.tables = [_plain(table) for table in [*shown, *views.spreads(name, rows)]]
    section.tables += [_plain(table, texts=True) for table in views.sources(name)]
    return section


def _picture(file: Path, caption: str, shown: Sequence[Table]) -> Picture:
    data = base64.b64encode(file.read_bytes()).decode()
    return Picture(data, f"{caption} In numbers: {_in_words(shown)}", caption)


def _in_words(shown: Sequence[Table]) -> str:
    """Write tables as sentences, for who can't see the picture."""
    lines = [
        f"{row[0]}: "
        + ", ".join(f"{c} {v}" for c, v in zip(table.columns[1:], row[1:], strict=True))
        for table in shown
        for row in table.rows
    ]
    return "; ".join(lines) + "."


def _plain(table: Table, texts: bool = False) -> dict[str, Any]:
    return {
        "title": table.title,
        "columns": table.columns,
        "rows": table.rows,
        "notes": table.notes,
        "texts": texts,
    }


def _date(rows: Sequence[Observation]) -> str:
    if not rows:
        return ""
    return datetime.datetime.fromtimestamp(rows[0].at).strftime("%Y-%m-%d %H:%M")


def _accelerator(fingerprint: dict[str, Any]) -> str:
    found = fingerprint["accelerator"]
    if found.get("accelerator") in (None, "none"):
        return f"No virtual machines: {found.get('reason', 'no accelerator was qualified')}"
    names = {"tcg": "TCG (software emulation)", "kvm": "KVM"}
    name = names.get(str(found["accelerator"]), str(found["accelerator"]))
    reason = f": {found['reason']}" if found.get("reason") else ""
    return f"Virtual machines under {name}{reason}"


def _warnings(
    rows: Sequence[Observation], damage: Sequence[Damage], fingerprint: dict[str, Any]
) -> list[str]:
    said = []
    if ended := fingerprint.get("run", {}).get("ended_early"):
        said.append(f"This run ended early ({ended}). What it had measured until then is shown.")
    if damage:
        lines = ", ".join(str(each.line) for each in damage[:LINES_TOLD])
        more = f" and {len(damage) - LINES_TOLD} more" if len(damage) > LINES_TOLD else ""
        said.append(
            f"Lines of the results file that can't be read were left out: {lines}{more} "
            f"(the first: {damage[0].reason})."
        )
    if not statistics.ok(rows):
        said.append("Nothing was measured.")
    return said
