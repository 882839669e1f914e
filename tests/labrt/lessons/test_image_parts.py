"""labrt/lessons/image_parts.py: an image's documents and layers, by digest."""

from __future__ import annotations

import json

from labrt.images import store
from labrt.lessons.image_parts import image_picture, manifest


def test_every_part_of_an_image_is_drawn_with_its_digest() -> None:
    image = store.resolve("busybox")
    told = image_picture(image)
    config = json.loads(manifest(image))["config"]["digest"]
    for digest in (image.digest, config, *(layer.digest for layer in image.layers)):
        assert digest in told.text
        assert digest in told.pictures[0][1]
