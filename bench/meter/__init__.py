"""The meter: an image with one static program that does fixed amounts of work (meter.c)."""

from __future__ import annotations

from pathlib import Path

from bench.static_image import StaticImage

METER = StaticImage(Path(__file__).with_name("meter.c"))
