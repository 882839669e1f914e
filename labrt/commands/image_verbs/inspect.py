"""`labrt image inspect`: all that is known of images, as JSON, in Docker's words."""

from __future__ import annotations

import argparse
import json

from labrt.images import naming, store
from labrt.images.store import Image

HELP = "print all that is known of images, as JSON"


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("images", metavar="IMAGE", nargs="+", help="a name or a digest")


def main(options: argparse.Namespace) -> int:
    print(json.dumps([_facts(store.resolve(name)) for name in options.images], indent=2))
    return 0


def _facts(image: Image) -> dict[str, object]:
    config = image.config
    return {
        "Digest": image.digest,
        "Names": [each.name for each in store.entries() if each.digest == image.digest],
        "Created": config.get("created", ""),
        "Author": config.get("author", ""),
        "Architecture": config.get("architecture", ""),
        "Os": config.get("os", ""),
        "Size": sum(layer.size for layer in image.layers),
        "Config": config.get("config") or {},
        "RootFS": {"Type": "layers", "Layers": list(image.diff_ids)},
        "Layers": [layer.to_json() for layer in image.layers],
        "Containers": naming.users(image.digest),
    }
