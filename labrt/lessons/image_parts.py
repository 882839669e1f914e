"""What an image is made of: documents and layers that name each other by digest, drawn.

https://github.com/opencontainers/image-spec/blob/main/manifest.md
"""

from __future__ import annotations

import json

from labrt.images import store
from labrt.images.naming import short
from labrt.images.store import Image
from labrt.lessons.graph import Edge, Graph, Node
from labrt.lessons.shown import Shown, table


def manifest(image: Image) -> str:
    """Return an image's manifest as it lies in the store, indented.

    Raises:
        LabError: it is damaged.
    """
    return json.dumps(json.loads(store.get(image.digest)), indent=2)


def image_picture(image: Image) -> Shown:
    """Draw an image: its name, its manifest, and what that names, each with digest and bytes."""
    data = store.get(image.digest)
    config = json.loads(data)["config"]
    parts = [("configuration", config["digest"], config["size"])]
    parts += [(f"layer {n}", each.digest, each.size) for n, each in enumerate(image.layers, 1)]
    nodes = [
        Node("name", image.name, "round"),
        Node("manifest", f"manifest\n{short(image.digest)}\n{len(data):,} bytes"),
        *(
            Node(f"p{n}", f"{what}\n{short(digest)}\n{size:,} bytes")
            for n, (what, digest, size) in enumerate(parts)
        ),
    ]
    edges = [Edge("name", "manifest", "is now")]
    edges += [Edge("manifest", f"p{n}") for n in range(len(parts))]
    rows = [("manifest", image.digest, f"{len(data):,}")]
    rows += [(what, digest, f"{size:,}") for what, digest, size in parts]
    words = "; ".join(f"{what}: {digest}" for what, digest, _ in rows)
    picture = Graph(f"the image {image.name}", words, nodes, edges)
    return picture.shown() + table(("part", "digest", "bytes"), rows)
