"""History: what made each layer of an image, as its configuration tells.

An instruction that changes no file (CMD) makes no layer: `empty_layer`. Nothing checks what is
told; layers that aren't told of are listed all the same.

https://github.com/opencontainers/image-spec/blob/main/config.md#properties
"""

from __future__ import annotations

from typing import Any, NamedTuple

from labrt.images.store import Image


class Made(NamedTuple):
    """One instruction: when it was done ("" for unknown), what it was, and the layer it made: its
    digest and compressed bytes, "" and 0 for none."""

    created: str
    created_by: str
    digest: str
    size: int


def history(image: Image) -> list[Made]:
    """Return what made the image, oldest first."""
    layers = [(blob.digest, blob.size) for blob in image.layers]
    told = [_made(entry, layers) for entry in image.config.get("history") or ()]
    return told + [Made("", "", digest, size) for digest, size in layers]


def _made(entry: dict[str, Any], left: list[tuple[str, int]]) -> Made:
    digest, size = left.pop(0) if left and not entry.get("empty_layer") else ("", 0)
    return Made(str(entry.get("created", "")), str(entry.get("created_by", "")), digest, size)
