"""The layer cache: what a step has made of which layers, so that it needn't be made again.

    LAB_HOME/images/cache/KEY.json   {"layer": null}, or the layer's descriptor and diff_id

A key is the digest of everything that the step depends on: the layers below it, its text, the
environment it sees, the contents it copies. So a step made anew with the same outcome leaves all
those after it valid. Files are written whole; two builds at once write the same.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any, NamedTuple

from labrt import paths
from labrt.images import store
from labrt.images.making import Layer
from labrt.images.store import Descriptor

_FORMAT = 1  # changes when the same step would make another layer


class Cached(NamedTuple):
    """What is known of a step: its layer, or None where it changes no file."""

    layer: Layer | None


def key(below: list[Layer], *parts: object) -> str:
    """Return the key of a step on top of some layers; `parts` is all else that it depends on."""
    told = [_FORMAT, [layer.diff_id for layer in below], *parts]
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


def find(wanted: str) -> Cached | None:
    """Return what is known under a key; None where it isn't, or where its blob is gone."""
    found = _read(_file(wanted))
    there = found and (not found.layer or store.blob_path(found.layer.blob.digest).exists())
    return found if there else None


def keep(wanted: str, layer: Layer | None) -> None:
    """Remember what a step has made."""
    told = layer and {**layer.blob.to_json(), "diff_id": layer.diff_id}
    paths.make(_folder())
    paths.write_whole(_file(wanted), json.dumps({"layer": told}).encode())


def _folder() -> Path:
    return store.folder() / "cache"


def _file(key: str) -> Path:
    return _folder() / f"{key}.json"  # as garbage.py knows it


def _read(file: Path) -> Cached | None:
    try:
        told: dict[str, Any] | None = json.loads(file.read_text())["layer"]
        return Cached(Layer(Descriptor.from_json(told), told["diff_id"]) if told else None)
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None
