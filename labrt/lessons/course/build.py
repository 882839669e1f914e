"""Lesson "build": build, registry, run (notebook 18)."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

from labrt import handle
from labrt.lessons import drawn, needs, observe
from labrt.lessons.layer_stack import root_stack
from labrt.lessons.lesson import Check, Lesson, Prediction, Verdict

FILES = (
    "apricot",
    "cherry",
    "damson",
    "grape",
    "lemon",
    "mango",
    "olive",
    "peach",
    "plum",
    "quince",
)
REGISTRY = "docker-registry"


def _sent(sent: int, whole: int, changed: int) -> str:
    """Judge build-p1. Bytes that the second push sent, those of the image, those of the file."""
    if sent > whole * 0.9:
        return "a"
    return "b" if sent > changed else "c"


def _by_digest(said: str, old: str, new: str) -> str:
    """Judge build-p2. What the pulled image's program wrote; what the old and the new one write."""
    if new in said:
        return "a"
    return "b" if old in said else "c"


def _tampered(said: str, digest: str) -> str:
    """Judge build-p3. What `labrt pull` wrote, and the digest of the changed layer."""
    if not said.startswith("labrt: "):
        return "a"
    return "b" if digest in said else "c"


def _from_a_layer(wanted: str) -> Verdict:
    """build-01: a container with the drawn file, which a layer of its image has brought."""
    found = {}
    for box in handle.containers():
        pid = box.status.pid
        made = root_stack(pid, box.folder)
        if made and os.path.lexists(f"/proc/{pid}/root/srv/{wanted}"):
            brought = [layer for layer in made.lower if os.path.lexists(f"{layer}/srv/{wanted}")]
            found[pid] = bool(brought)
    told = "; ".join(
        f"pid {pid}: it has the file, from {'its image' if brought else 'itself, not its image'}"
        for pid, brought in found.items()
    )
    return Verdict(
        passed=True in found.values(),
        expected=f"a running container with a file /srv/{wanted} that its image has brought",
        saw=told or f"no running container with a file /srv/{wanted}",
    )


def _tagged(wanted: str) -> Verdict:
    """build-02: a tag of the drawn name in the registry that this notebook has started."""
    tags = [tag for folder in _registries() for tag in _tags(folder)]
    return Verdict(
        passed=wanted in tags,
        expected=f"a tag {wanted} in this notebook's registry",
        saw=f"tags: {', '.join(tags) or 'none'}",
    )


def _registries() -> Iterator[Path]:
    """Yield the folders of the registries that this process has started, as their configuration
    says it, which is the last of their arguments."""
    for pid in observe.descendants(os.getpid()):
        words = observe.command(pid)
        if words and Path(words[0]).name == REGISTRY:
            config = json.loads(Path(words[-1]).read_text())
            yield Path(config["storage"]["filesystem"]["rootdirectory"])


def _tags(folder: Path) -> list[str]:
    """Return the tags in a registry's folder
    (https://distribution.github.io/distribution/spec/implementations/)."""
    return sorted(link.parent.parent.name for link in folder.glob("**/tags/*/current/link"))


LESSON = Lesson(
    key="build",
    number=18,
    title="build, registry, run",
    claims=("C02", "C03", "C21"),
    needs=(
        needs.CONTAINER,
        needs.programs("a registry: sections 3 to 6, 8 and 9", "docker-registry", REGISTRY),
        needs.VM,
    ),
    predictions=(
        Prediction(
            id="build-p1",
            choices={
                "a": "the whole image again: its digest is another one",
                "b": "one layer and two small documents",
                "c": "the file alone",
            },
            judge=_sent,
        ),
        Prediction(
            id="build-p2",
            choices={
                "a": "the new image",
                "b": "the old image",
                "c": "an error: the old image is gone",
            },
            judge=_by_digest,
        ),
        Prediction(
            id="build-p3",
            choices={
                "a": "it is pulled and runs: nobody notices",
                "b": "it is refused, and the digests are named",
                "c": "it is refused, for the archive can't be unpacked",
            },
            judge=_tampered,
        ),
    ),
    checks=(
        Check(
            id="build-01",
            observe=_from_a_layer,
            hints=(
                "The Containerfile of section 3 copies a file. Which word says where to, and what "
                "must lie in the folder beside it?",
                "A file that a program writes when the container runs isn't the image's.",
                "Build under a name of your own, then keep a container of it running.",
            ),
            draw=drawn.name(FILES),
        ),
        Check(
            id="build-02",
            observe=_tagged,
            hints=(
                "A tag is the name under which a manifest was put last. What did section 9 get?",
                "The same address takes a manifest that is put there (HTTP's PUT), as the type "
                "that it was got as.",
                "The bytes must be the manifest's own, letter for letter: their digest names it.",
            ),
            draw=drawn.name(FILES),
        ),
    ),
)
