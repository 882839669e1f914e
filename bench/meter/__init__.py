"""The meter: an image with one static program that does fixed amounts of work (meter.c)."""

from __future__ import annotations

from pathlib import Path

from bench.static_image import COMPILER, StaticImage, unavailable

METER = StaticImage(Path(__file__).with_name("meter.c"))
SOURCE = METER.source
image = METER.image

__all__ = ["COMPILER", "METER", "SOURCE", "image", "unavailable"]
