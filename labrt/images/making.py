"""Making an image of one layer: archive and configuration become blobs, a manifest names them
(https://github.com/opencontainers/image-spec/blob/main/manifest.md)."""

from __future__ import annotations

import gzip
import hashlib
import json
from typing import Any

from labrt.images import store
from labrt.images.store import Image


def make(name: str, layer: bytes, config: dict[str, Any]) -> Image:
    """Put an image into the store and name it.

    Args:
        layer: a tar archive.
        config: the OCI image configuration, but for its `rootfs`.
    """
    diff_id = "sha256:" + hashlib.sha256(layer).hexdigest()
    whole = {**config, "rootfs": {"type": "layers", "diff_ids": [diff_id]}}
    manifest = {
        "schemaVersion": 2,
        "mediaType": store.MANIFEST,
        "config": _descriptor(store.CONFIG, store.put(_json(whole))),
        "layers": [_descriptor(store.LAYER_GZIP, store.put(gzip.compress(layer, mtime=0)))],
    }
    store.tag(name, store.put(_json(manifest)))
    return store.resolve(name)


def _descriptor(media_type: str, digest: str) -> dict[str, object]:
    return {"mediaType": media_type, "digest": digest, "size": len(store.get(digest))}


def _json(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()
