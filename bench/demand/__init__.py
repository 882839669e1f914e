"""The demand: an image with one static program that wants more than its limits (demand.c)."""

from __future__ import annotations

from pathlib import Path

from bench.static_image import StaticImage

DEMAND = StaticImage(Path(__file__).with_name("demand.c"))
